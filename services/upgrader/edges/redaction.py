"""What must never be read in a log, an error or a status: private keys, certificates' bodies, tokens."""

import re

_PRIVATE_KEY = re.compile(r"-----BEGIN ([A-Z0-9 ]*)PRIVATE KEY-----.*?(-----END \1PRIVATE KEY-----|\Z)", re.DOTALL)
_END_OF_KEY = re.compile(r"\A.*-----END [A-Z0-9 ]*(?:PRIVATE KEY-----|\Z)", re.DOTALL)
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?(-----END \1-----|\Z)", re.DOTALL)
_TOKEN = re.compile(r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_PASSWORD = re.compile(r"(?i)\b(password|passwd)(\s*[:=]\s*)\S+")
_USERINFO = re.compile(r"(?<=://)[^/\s@:]+:[^/\s@]+(?=@)")
_RUN = re.compile(r"[A-Za-z0-9+/]{32,}={0,2}")
# Whole lines of base64, with the shorter one before and after that a cut or the end of the data makes.
_LINE = r"[ \t]*[A-Za-z0-9+/]{{{},76}}={{0,2}}[ \t]*"
_BLOCK = re.compile(rf"(?m)^(?:{_LINE.format(1)}\n)?{_LINE.format(60)}(?:\n{_LINE.format(1)})*$")
_HEX = re.compile(r"[0-9a-f]+")


def redact(text: str) -> str:
    """`text` without anything that could be a key, a token or a password. What remains is safe to show to anybody."""
    text = _PRIVATE_KEY.sub("[private key removed]", text)
    # What is cut at the front may begin in the middle of a key, and so has an end but no beginning.
    text = _END_OF_KEY.sub("[private key removed]", text)
    text = _PEM.sub(lambda found: f"[{found[1].lower()} removed]", text)
    text = _BLOCK.sub("[base64 removed]", text)
    text = _TOKEN.sub("[token removed]", text)
    text = _BEARER.sub(r"\1 [removed]", text)
    text = _PASSWORD.sub(r"\1\2[removed]", text)
    text = _USERINFO.sub("[removed]", text)
    return _RUN.sub(_unless_plain, text)


def _unless_plain(found: re.Match[str]) -> str:
    """Digests and paths are what errors are about; only what looks like base64 goes."""
    run = found[0]
    if _HEX.fullmatch(run) or run.count("/") * 12 > len(run):
        return run
    mixed = re.search("[A-Z]", run) and re.search("[a-z]", run) and re.search("[0-9+/]", run)
    return f"[{len(run)} characters removed]" if mixed else run
