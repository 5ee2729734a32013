"""The ``kafka-acls`` commands of docs/security.md, as what they would make."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

PAGE = Path(__file__).parents[1] / "docs" / "security.md"
_BLOCK = re.compile(r"^<!-- acls: (.+?) -->\n```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
_KINDS = {
    "--topic": ResourceType.TOPIC,
    "--group": ResourceType.GROUP,
    "--transactional-id": ResourceType.TRANSACTIONAL_ID,
}
_SHOWN = {
    ResourceType.TOPIC: "topic",
    ResourceType.GROUP: "group",
    ResourceType.TRANSACTIONAL_ID: "transactional id",
}


def sections() -> dict[str, str]:
    """The commands of each part, by the part's name on the page."""
    return dict(_BLOCK.findall(PAGE.read_text(encoding="utf-8")))


def parsed(commands: str) -> list[AclBinding]:
    """What some commands allow.

    Raises:
        ValueError: A command has an option that is not known here.
    """
    bindings = []
    for line in commands.replace("\\\n", " ").strip().splitlines():
        words = shlex.split(line)
        if words[:3] != ["kafka-acls.sh", "$ADMIN", "--add"]:
            raise ValueError(f"kafka-acls.sh $ADMIN --add, got {line!r}")
        principal, operation, pattern = "", "", "literal"
        resources = []
        for option, value in zip(words[3::2], words[4::2], strict=True):
            if option == "--allow-principal":
                principal = value
            elif option == "--operation":
                operation = value
            elif option == "--resource-pattern-type":
                pattern = value
            else:
                resources.append((_KINDS[option], value))
        bindings += [
            AclBinding(
                kind,
                name,
                ResourcePatternType[pattern.upper()],
                principal,
                "*",
                AclOperation[re.sub(r"(?<!^)(?=[A-Z])", "_", operation).upper()],
                AclPermissionType.ALLOW,
            )
            for kind, name in resources
        ]
    return bindings


def shown(one: AclBinding) -> str:
    """As Driftloop names a right."""
    operation = "".join(part.title() for part in one.operation.name.split("_"))
    return f"{operation} on {_SHOWN[one.restype]} {one.name}"
