"""Which metrics a query reads."""

import pytest

from steward.alerting.reading import read


@pytest.mark.parametrize(
    ("query", "metrics"),
    [
        ("up", {"up"}),
        ("sum(rate(a_total[5m])) / sum(rate(b_total[5m])) > 0.5", {"a_total", "b_total"}),
        ("sum by (pod, node) (a) and on (pod) b unless ignoring (c) d", {"a", "b", "d"}),
        ("sum(a) by (pod)", {"a"}),
        ("count without (a) (x:y:z offset 1h)", {"x:y:z"}),
        ("a * on (pod) group_left (node, zone) b", {"a", "b"}),
        ('a{b="c{d}", e=~"f(g)", h!="i\\"j"} > 1', {"a"}),
        ("a{b='it is \\'c\\'', d=`{e}`}", {"a"}),
        ('{__name__="a", job="b"}', {"a"}),
        ('{__name__=~"a.*", job="b"}', set()),
        ('{"a.b", job="c"}', {"a.b"}),
        ('a{"b.c"="d"}', {"a"}),
        ("a @ end() - b @ start() + c @ 1609746000", {"a", "b", "c"}),
        ("a > bool 1 or vector(NaN) or -Inf * b", {"a", "b"}),
        ("max_over_time(rate(a[5m])[1h:1m])", {"a"}),
        ("a[1h:5m] offset -5m", {"a"}),
        ('label_replace(a, "b", "$1", "c", "(.+)") # and d', {"a"}),
        ('count_values("version", a)', {"a"}),
        (
            "topk(3, a) or quantile(0.9, b) or histogram_quantile(0.99, sum by (le) (rate(c_bucket[5m])))",
            {"a", "b", "c_bucket"},
        ),
        ("sum(count)", {"count"}),
        ("1e3 + 0x1F + 1h30m + .5", set()),
        ("time() - a", {"a"}),
        ("a\n  and\n  b", {"a", "b"}),
    ],
)
def test_names_of_metrics_are_told_from_functions_labels_and_words(query: str, metrics: set[str]) -> None:
    assert read(query).metrics == metrics


@pytest.mark.parametrize(
    ("query", "needed"),
    [
        ('absent(up{job="a"} == 1)', set()),
        ("absent(a) and on () sum(b) > 0", {"b"}),
        ("absent_over_time(a[5m]) or b", {"b"}),
        ("absent(a) or a > 1", {"a"}),
        ("absent(sum by (x) (a)) or sum by (x) (b)", {"b"}),
    ],
)
def test_what_is_only_asked_whether_it_is_absent_is_not_needed(query: str, needed: set[str]) -> None:
    assert read(query).needed == needed
