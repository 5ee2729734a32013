"""What a person does from outside: commands are built, signed, sent and waited for; and the audit.

Knows neither the command line nor a page: both call it. ::

    commands = operator.build(settings, "retrain", stream="orders.lyon", who="ada", why="new list")
    operator.send(settings, commands)
    told = operator.wait(settings, commands, timeout=30.0, on_answer=print)
"""

from driftloop.operator.auditing import audit
from driftloop.operator.building import build, to_ms
from driftloop.operator.sending import send
from driftloop.operator.told import Told, exit_status, in_words
from driftloop.operator.waiting import wait

__all__ = ["Told", "audit", "build", "exit_status", "in_words", "send", "to_ms", "wait"]
