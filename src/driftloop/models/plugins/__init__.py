"""Model plug-ins that Driftloop brings; each needs the extra that its module is named after."""
