"""Lines of an access log as real proxies write them, and what is none."""

import pytest

from services.conformance.core.access_lines import AccessFormat, AccessLine, access_line

CLIENT = "traffic.booksapp.serviceaccount.identity.linkerd.cluster.local"
WHEN = "2022-08-23T20:28:20.187706137Z"
APACHE = f'10.42.0.63:51160 {CLIENT} - [{WHEN}] "POST http://webapp:7000/authors HTTP/2.0" 303'
UNMESHED = f'[fd00::1]:43682 - - [{WHEN}] "GET /ping HTTP/1.1" 200'
JSON = (
    f'{{"client.addr":"10.42.0.70:32996","client.id":"{CLIENT}","host":"webapp:7000","method":"POST",'
    '"processing_ns":"39826","request_bytes":"33","response_bytes":"0","status":303,'
    f'"timestamp":"{WHEN}","total_ns":"14441135","trace_id":"","uri":"http://webapp:7000/authors",'
    '"user_agent":"Go-http-client/1.1","version":"HTTP/2.0"}'
)
POSTED = AccessLine(CLIENT, "POST", "http://webapp:7000/authors", 303)


@pytest.mark.parametrize(
    ("line", "wanted", "read"),
    [
        pytest.param(APACHE, AccessFormat.APACHE, POSTED, id="apache"),
        pytest.param(UNMESHED, AccessFormat.APACHE, AccessLine("-", "GET", "/ping", 200), id="unmeshed, IPv6"),
        pytest.param(JSON, AccessFormat.JSON, POSTED, id="json"),
        pytest.param(JSON, AccessFormat.APACHE, None, id="json for apache"),
        pytest.param(APACHE, AccessFormat.JSON, None, id="apache for json"),
        pytest.param(f"{APACHE} 1234", AccessFormat.APACHE, None, id="with a size, which proxies do not write"),
        pytest.param('{"level":"INFO","message":"/ping"}', AccessFormat.JSON, None, id="a line of the proxy's own log"),
        pytest.param('["status"]', AccessFormat.JSON, None, id="json of something else"),
        pytest.param(JSON.replace("303", '"303"'), AccessFormat.JSON, None, id="a status that is no number"),
        pytest.param("", AccessFormat.APACHE, None, id="nothing"),
    ],
)
def test_a_line_is_read_in_the_format_that_was_asked_for(
    line: str, wanted: AccessFormat, read: AccessLine | None
) -> None:
    assert access_line(line, wanted) == read
