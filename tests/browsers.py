"""
A real browser for tests.

It needs Chromium and its driver, and tests skip without. With ``NPD_REQUIRE_BROWSER=1``
in the environment they fail instead.
"""

import contextlib
import os
import shutil

import pytest

SECONDS = 300  # for anything to happen, on a machine that is busy with other tests
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1300,800",
)


def missing(reason):
    """Skip, or fail where browser tests are required."""
    if os.environ.get("NPD_REQUIRE_BROWSER", "0") not in ("", "0"):
        pytest.fail(f"NPD_REQUIRE_BROWSER is set, but {reason}")
    pytest.skip(reason)


@contextlib.contextmanager
def new_browser(profile, *modules):
    """A Chromium of its own, with a folder for its profile; if modules are there."""
    for module in ("selenium", *modules):
        try:
            __import__(module)
        except ImportError as error:
            missing(f"{module} can't be imported ({error})")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        missing(
            "there is no Chromium with its driver (on Debian: apt-get install chromium "
            "chromium-driver)"
        )
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(driver)
    with webdriver.Chrome(options=options, service=service) as browser:
        browser.set_page_load_timeout(SECONDS)
        browser.set_script_timeout(SECONDS)
        yield browser


def resized(browser, width, height=900):
    """Make the page so wide, on a screen of that size."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )
