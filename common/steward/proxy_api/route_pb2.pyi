import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Method(_message.Message):
    __slots__ = ("registered", "unregistered")
    class Registered(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        GET: _ClassVar[Method.Registered]
        POST: _ClassVar[Method.Registered]
        PUT: _ClassVar[Method.Registered]
        DELETE: _ClassVar[Method.Registered]
        PATCH: _ClassVar[Method.Registered]
        OPTIONS: _ClassVar[Method.Registered]
        CONNECT: _ClassVar[Method.Registered]
        HEAD: _ClassVar[Method.Registered]
        TRACE: _ClassVar[Method.Registered]
    GET: Method.Registered
    POST: Method.Registered
    PUT: Method.Registered
    DELETE: Method.Registered
    PATCH: Method.Registered
    OPTIONS: Method.Registered
    CONNECT: Method.Registered
    HEAD: Method.Registered
    TRACE: Method.Registered
    REGISTERED_FIELD_NUMBER: _ClassVar[int]
    UNREGISTERED_FIELD_NUMBER: _ClassVar[int]
    registered: Method.Registered
    unregistered: str
    def __init__(self, registered: _Optional[_Union[Method.Registered, str]] = ..., unregistered: _Optional[str] = ...) -> None: ...

class Scheme(_message.Message):
    __slots__ = ("registered", "unregistered")
    class Registered(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        HTTP: _ClassVar[Scheme.Registered]
        HTTPS: _ClassVar[Scheme.Registered]
    HTTP: Scheme.Registered
    HTTPS: Scheme.Registered
    REGISTERED_FIELD_NUMBER: _ClassVar[int]
    UNREGISTERED_FIELD_NUMBER: _ClassVar[int]
    registered: Scheme.Registered
    unregistered: str
    def __init__(self, registered: _Optional[_Union[Scheme.Registered, str]] = ..., unregistered: _Optional[str] = ...) -> None: ...

class Headers(_message.Message):
    __slots__ = ("headers",)
    class Header(_message.Message):
        __slots__ = ("name", "value")
        NAME_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        name: str
        value: str
        def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    headers: _containers.RepeatedCompositeFieldContainer[Headers.Header]
    def __init__(self, headers: _Optional[_Iterable[_Union[Headers.Header, _Mapping]]] = ...) -> None: ...

class HostMatch(_message.Message):
    __slots__ = ("exact", "suffix")
    class Suffix(_message.Message):
        __slots__ = ("reverse_labels",)
        REVERSE_LABELS_FIELD_NUMBER: _ClassVar[int]
        reverse_labels: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, reverse_labels: _Optional[_Iterable[str]] = ...) -> None: ...
    EXACT_FIELD_NUMBER: _ClassVar[int]
    SUFFIX_FIELD_NUMBER: _ClassVar[int]
    exact: str
    suffix: HostMatch.Suffix
    def __init__(self, exact: _Optional[str] = ..., suffix: _Optional[_Union[HostMatch.Suffix, _Mapping]] = ...) -> None: ...

class PathMatch(_message.Message):
    __slots__ = ("exact", "prefix", "regex")
    EXACT_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    REGEX_FIELD_NUMBER: _ClassVar[int]
    exact: str
    prefix: str
    regex: str
    def __init__(self, exact: _Optional[str] = ..., prefix: _Optional[str] = ..., regex: _Optional[str] = ...) -> None: ...

class ValueMatch(_message.Message):
    __slots__ = ("name", "exact", "regex")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    REGEX_FIELD_NUMBER: _ClassVar[int]
    name: str
    exact: str
    regex: str
    def __init__(self, name: _Optional[str] = ..., exact: _Optional[str] = ..., regex: _Optional[str] = ...) -> None: ...

class HttpMatch(_message.Message):
    __slots__ = ("path", "headers", "query_params", "method")
    PATH_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    QUERY_PARAMS_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    path: PathMatch
    headers: _containers.RepeatedCompositeFieldContainer[ValueMatch]
    query_params: _containers.RepeatedCompositeFieldContainer[ValueMatch]
    method: Method
    def __init__(self, path: _Optional[_Union[PathMatch, _Mapping]] = ..., headers: _Optional[_Iterable[_Union[ValueMatch, _Mapping]]] = ..., query_params: _Optional[_Iterable[_Union[ValueMatch, _Mapping]]] = ..., method: _Optional[_Union[Method, _Mapping]] = ...) -> None: ...

class RpcMatch(_message.Message):
    __slots__ = ("service", "method")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    service: str
    method: str
    def __init__(self, service: _Optional[str] = ..., method: _Optional[str] = ...) -> None: ...

class GrpcMatch(_message.Message):
    __slots__ = ("rpc", "headers")
    RPC_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    rpc: RpcMatch
    headers: _containers.RepeatedCompositeFieldContainer[ValueMatch]
    def __init__(self, rpc: _Optional[_Union[RpcMatch, _Mapping]] = ..., headers: _Optional[_Iterable[_Union[ValueMatch, _Mapping]]] = ...) -> None: ...

class HeaderModifier(_message.Message):
    __slots__ = ("add", "set", "remove")
    ADD_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FIELD_NUMBER: _ClassVar[int]
    add: Headers
    set: Headers
    remove: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, add: _Optional[_Union[Headers, _Mapping]] = ..., set: _Optional[_Union[Headers, _Mapping]] = ..., remove: _Optional[_Iterable[str]] = ...) -> None: ...

class PathModifier(_message.Message):
    __slots__ = ("full", "prefix")
    FULL_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    full: str
    prefix: str
    def __init__(self, full: _Optional[str] = ..., prefix: _Optional[str] = ...) -> None: ...

class Redirect(_message.Message):
    __slots__ = ("scheme", "host", "path", "port", "status")
    SCHEME_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    scheme: Scheme
    host: str
    path: PathModifier
    port: int
    status: int
    def __init__(self, scheme: _Optional[_Union[Scheme, _Mapping]] = ..., host: _Optional[str] = ..., path: _Optional[_Union[PathModifier, _Mapping]] = ..., port: _Optional[int] = ..., status: _Optional[int] = ...) -> None: ...

class FailureInjector(_message.Message):
    __slots__ = ("status", "message")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    status: int
    message: str
    def __init__(self, status: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class HttpFilter(_message.Message):
    __slots__ = ("failure_injector", "request_header_modifier", "redirect", "response_header_modifier")
    FAILURE_INJECTOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_HEADER_MODIFIER_FIELD_NUMBER: _ClassVar[int]
    REDIRECT_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_HEADER_MODIFIER_FIELD_NUMBER: _ClassVar[int]
    failure_injector: FailureInjector
    request_header_modifier: HeaderModifier
    redirect: Redirect
    response_header_modifier: HeaderModifier
    def __init__(self, failure_injector: _Optional[_Union[FailureInjector, _Mapping]] = ..., request_header_modifier: _Optional[_Union[HeaderModifier, _Mapping]] = ..., redirect: _Optional[_Union[Redirect, _Mapping]] = ..., response_header_modifier: _Optional[_Union[HeaderModifier, _Mapping]] = ...) -> None: ...

class Timeouts(_message.Message):
    __slots__ = ("response", "request", "idle")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    IDLE_FIELD_NUMBER: _ClassVar[int]
    response: _duration_pb2.Duration
    request: _duration_pb2.Duration
    idle: _duration_pb2.Duration
    def __init__(self, response: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., request: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., idle: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
