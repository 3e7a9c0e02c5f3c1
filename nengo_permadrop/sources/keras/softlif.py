"""SoftLIF layers' configurations in our terms, without Keras."""

# What a layer's options are called in the neutral graph
_PARAMETERS = ("gain", "gamma", "tau_rc", "tau_ref", "amplitude")


def softlif_config(config):
    """
    The configuration of a SoftLIF layer in our terms, ours or nengo-extras'.

    nengo-extras calls the width of the smoothing ``sigma``, its curve has no gain, and
    it doesn't save its noise model, which is then off.

    Parameters
    ----------
    config : dict
        As the layer's ``get_config`` gives it.

    Returns
    -------
    config : dict
    """
    if "sigma" not in config:
        return dict(config)
    config = {"gain": 1.0, **config}
    config["gamma"] = config.pop("sigma")
    noise = config.pop("noise_model", "none")
    config["noise"] = None if noise == "none" else noise
    return config


def softlif_parameters(config):
    """
    The parameters of a SoftLIF layer in the neutral graph.

    Parameters
    ----------
    config : dict
        As the layer's ``get_config`` gives it.

    Returns
    -------
    parameters : {str: float or str}
        As the activation "softlif" takes them; "curve" only where it isn't the smooth
        one of plain Nengo.
    """
    config = softlif_config(config)
    parameters = {name: config[name] for name in _PARAMETERS if name in config}
    if config.get("target", "nengo") != "nengo":
        parameters["curve"] = config["target"]
    return parameters
