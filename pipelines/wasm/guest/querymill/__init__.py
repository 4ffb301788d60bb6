"""The library a UDF works with. All of it is built in; `from querymill import ...` works too.

The run:      context, reject(), drop(), log(), resource()
First style:  get_field(), get_field_string() and its kin, has_field(), get_param() and its kin
Query trees:  walk(), rewrite(), and of whole requests walk_request(), rewrite_request()
"""

from querymill.access import (
    get_field,
    get_field_bool,
    get_field_float,
    get_field_int,
    get_field_string,
    get_param,
    get_param_bool,
    get_param_float,
    get_param_int,
    get_param_string,
    has_field,
)
from querymill.current import drop, log, reject, resource
from querymill.querytree import rewrite, rewrite_request, walk, walk_request

__all__ = [
    "drop",
    "get_field",
    "get_field_bool",
    "get_field_float",
    "get_field_int",
    "get_field_string",
    "get_param",
    "get_param_bool",
    "get_param_float",
    "get_param_int",
    "get_param_string",
    "has_field",
    "log",
    "reject",
    "resource",
    "rewrite",
    "rewrite_request",
    "walk",
    "walk_request",
]
