"""Every page, plot and table."""
