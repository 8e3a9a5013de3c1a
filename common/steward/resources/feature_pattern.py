"""How a feature of the mesh, or a group of them, is named in resources."""

from typing import Annotated

from pydantic import Field

from steward.resources.rules import reads_as

FEATURE_PATTERN = r"^[a-z][a-z0-9-]*(\.(\*|[a-z0-9][a-z0-9-]*))*$"
FeaturePattern = Annotated[
    str,
    Field(
        pattern=FEATURE_PATTERN,
        max_length=128,
        json_schema_extra=reads_as(FEATURE_PATTERN, "a feature is written like `mtls.identity`, a group like `mtls`"),
    ),
]
