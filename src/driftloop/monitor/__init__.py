"""The monitor's steps: Bytewax around the pure parts of `detection` and `policy`.

source ► decode ► track ► test ► decide ► fleet ► emit; `flows/monitor.py` wires them.
"""
