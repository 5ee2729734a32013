"""Backtest: policies tried on history, without a broker, by the code that the monitor runs."""
