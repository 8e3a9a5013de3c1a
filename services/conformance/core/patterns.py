"""How suites and runs name features: one (`mtls.identity`), a group (`mtls`, the same as `mtls.*`), a part of one."""

from collections.abc import Iterable


def means(pattern: str, feature: str) -> bool:
    """Whether a pattern means a feature."""
    stem = pattern.removesuffix(".*")
    return feature == pattern or feature.startswith(f"{stem}.")


def any_means(patterns: Iterable[str], feature: str) -> bool:
    """Whether any of them does."""
    return any(means(pattern, feature) for pattern in patterns)
