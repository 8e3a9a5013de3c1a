from steward.proxy_api import net_pb2 as _net_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Resource(_message.Message):
    __slots__ = ("namespace", "type", "name")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    type: str
    name: str
    def __init__(self, namespace: _Optional[str] = ..., type: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class ResourceSelection(_message.Message):
    __slots__ = ("resource",)
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    resource: Resource
    def __init__(self, resource: _Optional[_Union[Resource, _Mapping]] = ...) -> None: ...

class TapByResourceRequest(_message.Message):
    __slots__ = ("target", "match", "max_rps")
    class Match(_message.Message):
        __slots__ = ("all", "http")
        class Seq(_message.Message):
            __slots__ = ("matches",)
            MATCHES_FIELD_NUMBER: _ClassVar[int]
            matches: _containers.RepeatedCompositeFieldContainer[TapByResourceRequest.Match]
            def __init__(self, matches: _Optional[_Iterable[_Union[TapByResourceRequest.Match, _Mapping]]] = ...) -> None: ...
        class Http(_message.Message):
            __slots__ = ("path",)
            PATH_FIELD_NUMBER: _ClassVar[int]
            path: str
            def __init__(self, path: _Optional[str] = ...) -> None: ...
        ALL_FIELD_NUMBER: _ClassVar[int]
        HTTP_FIELD_NUMBER: _ClassVar[int]
        all: TapByResourceRequest.Match.Seq
        http: TapByResourceRequest.Match.Http
        def __init__(self, all: _Optional[_Union[TapByResourceRequest.Match.Seq, _Mapping]] = ..., http: _Optional[_Union[TapByResourceRequest.Match.Http, _Mapping]] = ...) -> None: ...
    TARGET_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    MAX_RPS_FIELD_NUMBER: _ClassVar[int]
    target: ResourceSelection
    match: TapByResourceRequest.Match
    max_rps: float
    def __init__(self, target: _Optional[_Union[ResourceSelection, _Mapping]] = ..., match: _Optional[_Union[TapByResourceRequest.Match, _Mapping]] = ..., max_rps: _Optional[float] = ...) -> None: ...

class Method(_message.Message):
    __slots__ = ("registered", "unregistered")
    REGISTERED_FIELD_NUMBER: _ClassVar[int]
    UNREGISTERED_FIELD_NUMBER: _ClassVar[int]
    registered: int
    unregistered: str
    def __init__(self, registered: _Optional[int] = ..., unregistered: _Optional[str] = ...) -> None: ...

class TapEvent(_message.Message):
    __slots__ = ("source", "source_meta", "destination", "destination_meta", "proxy_direction", "http")
    class ProxyDirection(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNKNOWN: _ClassVar[TapEvent.ProxyDirection]
        INBOUND: _ClassVar[TapEvent.ProxyDirection]
        OUTBOUND: _ClassVar[TapEvent.ProxyDirection]
    UNKNOWN: TapEvent.ProxyDirection
    INBOUND: TapEvent.ProxyDirection
    OUTBOUND: TapEvent.ProxyDirection
    class EndpointMeta(_message.Message):
        __slots__ = ("labels",)
        class LabelsEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: str
            def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        LABELS_FIELD_NUMBER: _ClassVar[int]
        labels: _containers.ScalarMap[str, str]
        def __init__(self, labels: _Optional[_Mapping[str, str]] = ...) -> None: ...
    class Http(_message.Message):
        __slots__ = ("request_init", "response_init", "response_end")
        class StreamId(_message.Message):
            __slots__ = ("base", "stream")
            BASE_FIELD_NUMBER: _ClassVar[int]
            STREAM_FIELD_NUMBER: _ClassVar[int]
            base: int
            stream: int
            def __init__(self, base: _Optional[int] = ..., stream: _Optional[int] = ...) -> None: ...
        class RequestInit(_message.Message):
            __slots__ = ("id", "method", "authority", "path")
            ID_FIELD_NUMBER: _ClassVar[int]
            METHOD_FIELD_NUMBER: _ClassVar[int]
            AUTHORITY_FIELD_NUMBER: _ClassVar[int]
            PATH_FIELD_NUMBER: _ClassVar[int]
            id: TapEvent.Http.StreamId
            method: Method
            authority: str
            path: str
            def __init__(self, id: _Optional[_Union[TapEvent.Http.StreamId, _Mapping]] = ..., method: _Optional[_Union[Method, _Mapping]] = ..., authority: _Optional[str] = ..., path: _Optional[str] = ...) -> None: ...
        class ResponseInit(_message.Message):
            __slots__ = ("id", "http_status")
            ID_FIELD_NUMBER: _ClassVar[int]
            HTTP_STATUS_FIELD_NUMBER: _ClassVar[int]
            id: TapEvent.Http.StreamId
            http_status: int
            def __init__(self, id: _Optional[_Union[TapEvent.Http.StreamId, _Mapping]] = ..., http_status: _Optional[int] = ...) -> None: ...
        class ResponseEnd(_message.Message):
            __slots__ = ("id", "response_bytes")
            ID_FIELD_NUMBER: _ClassVar[int]
            RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
            id: TapEvent.Http.StreamId
            response_bytes: int
            def __init__(self, id: _Optional[_Union[TapEvent.Http.StreamId, _Mapping]] = ..., response_bytes: _Optional[int] = ...) -> None: ...
        REQUEST_INIT_FIELD_NUMBER: _ClassVar[int]
        RESPONSE_INIT_FIELD_NUMBER: _ClassVar[int]
        RESPONSE_END_FIELD_NUMBER: _ClassVar[int]
        request_init: TapEvent.Http.RequestInit
        response_init: TapEvent.Http.ResponseInit
        response_end: TapEvent.Http.ResponseEnd
        def __init__(self, request_init: _Optional[_Union[TapEvent.Http.RequestInit, _Mapping]] = ..., response_init: _Optional[_Union[TapEvent.Http.ResponseInit, _Mapping]] = ..., response_end: _Optional[_Union[TapEvent.Http.ResponseEnd, _Mapping]] = ...) -> None: ...
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_META_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_META_FIELD_NUMBER: _ClassVar[int]
    PROXY_DIRECTION_FIELD_NUMBER: _ClassVar[int]
    HTTP_FIELD_NUMBER: _ClassVar[int]
    source: _net_pb2.TcpAddress
    source_meta: TapEvent.EndpointMeta
    destination: _net_pb2.TcpAddress
    destination_meta: TapEvent.EndpointMeta
    proxy_direction: TapEvent.ProxyDirection
    http: TapEvent.Http
    def __init__(self, source: _Optional[_Union[_net_pb2.TcpAddress, _Mapping]] = ..., source_meta: _Optional[_Union[TapEvent.EndpointMeta, _Mapping]] = ..., destination: _Optional[_Union[_net_pb2.TcpAddress, _Mapping]] = ..., destination_meta: _Optional[_Union[TapEvent.EndpointMeta, _Mapping]] = ..., proxy_direction: _Optional[_Union[TapEvent.ProxyDirection, str]] = ..., http: _Optional[_Union[TapEvent.Http, _Mapping]] = ...) -> None: ...

class ApiError(_message.Message):
    __slots__ = ("error",)
    ERROR_FIELD_NUMBER: _ClassVar[int]
    error: str
    def __init__(self, error: _Optional[str] = ...) -> None: ...
