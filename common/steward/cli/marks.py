"""The marks that Linkerd's own commands print before a line."""

GOOD = "√"
WARNING = "‼"
BAD = "×"  # noqa: RUF001 (Linkerd's own mark)
NOT_YET = "·"
UNDER_WAY = "▸"
LEFT_OUT = "-"
