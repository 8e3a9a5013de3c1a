"""How what a proxy tells tap can be wrong. Scopes name the pod that is listened to."""

from steward.testing.dataplane.faults import Fault

TAP_DEAF = Fault("tap-deaf", "the proxy lets itself be tapped and tells of nothing")
TAP_WITHOUT_RESPONSES = Fault("tap-without-responses", "requests are told of, their responses are not")
TAP_STATUS_WRONG = Fault("tap-status-wrong", "every response is told of as 200")
TAP_WITHOUT_TLS = Fault("tap-without-tls", "what came with mutual TLS is told of as if it had come without")
TAP_UNFILTERED = Fault("tap-unfiltered", "also requests that were not asked for are told of")
