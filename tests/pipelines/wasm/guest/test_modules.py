"""The documented list of importable modules, each used in a real sandbox."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.pipelines.wasm.udfs import Runner

DOCUMENT = Path(__file__).parents[4] / "docs" / "SANDBOX.md"

# module: an expression that is true
USES = {
    "abc": "abc.ABC.__name__ == 'ABC'",
    "array": "array.array('i', [1, 2])[1] == 2",
    "ast": "ast.literal_eval('[1]') == [1]",
    "base64": "base64.b64encode(b'a') == b'YQ=='",
    "binascii": "binascii.crc32(b'a') > 0 and binascii.unhexlify('61') == b'a'",
    "bisect": "bisect.bisect([1, 3], 2) == 1",
    "calendar": "calendar.monthrange(2024, 2)[1] == 29 and calendar.month_name[1] == 'January'",
    "cmath": "cmath.sqrt(-1) == 1j",
    "collections": "collections.Counter('aab').most_common(1) == [('a', 2)]",
    "collections.abc": "isinstance({}, collections.abc.Mapping)",
    "contextlib": "contextlib.suppress(KeyError).__enter__() is None",
    "copy": "copy.deepcopy([[1]]) == [[1]]",
    "csv": "next(csv.reader(['a,\"b,c\"'])) == ['a', 'b,c']",
    "dataclasses": "dataclasses.make_dataclass('P', ['x'])(1).x == 1",
    "datetime": (
        "datetime.datetime.strptime('2024-02-29', '%Y-%m-%d').weekday() == 3 and "
        "datetime.datetime.now(datetime.timezone.utc).tzinfo is not None"
    ),
    "decimal": "decimal.Decimal('0.1') + decimal.Decimal('0.2') == decimal.Decimal('0.3')",
    "difflib": "difflib.get_close_matches('phnoe', ['phone', 'tea']) == ['phone']",
    "enum": "enum.Enum('E', 'A B').B.value == 2",
    "fractions": "fractions.Fraction('1/3') * 3 == 1",
    "functools": "functools.reduce(lambda a, b: a + b, [1, 2]) == 3",
    "hashlib": (
        "hashlib.sha256(b'').hexdigest().startswith('e3b0') and "
        "[hashlib.new(name, b'a').digest_size for name in ('md5', 'sha1', 'sha3_256', 'blake2b')]"
        " == [16, 20, 32, 64]"
    ),
    "heapq": "heapq.nsmallest(1, [3, 1]) == [1]",
    "hmac": "len(hmac.new(b'k', b'm', 'sha256').hexdigest()) == 64",
    "html": "html.escape('<') == '&lt;' and html.unescape('&eacute;') == 'é'",
    "html.entities": "html.entities.name2codepoint['eacute'] == 233",
    "html.parser": "html.parser.HTMLParser().feed('<b>x</b>') is None",
    "inspect": "inspect.signature(lambda a: a).parameters.keys() == {'a'}",
    "io": "io.StringIO('a\\nb').readlines() == ['a\\n', 'b'] and io.BytesIO(b'a').read() == b'a'",
    "ipaddress": "ipaddress.ip_address('10.0.0.1') in ipaddress.ip_network('10.0.0.0/8')",
    "itertools": "list(itertools.batched('abc', 2)) == [('a', 'b'), ('c',)]",
    "json": "json.loads(json.dumps({'a': [1, None]}, indent=1)) == {'a': [1, None]}",
    "keyword": "keyword.iskeyword('def')",
    "locale": "locale.atof('1.5') == 1.5",
    "logging": "logging.getLogger('a').name == 'a'",
    "math": "math.isclose(math.sumprod([1, 2], [3, 4]), 11)",
    "numbers": "isinstance(1, numbers.Integral)",
    "operator": "operator.itemgetter('a')({'a': 1}) == 1",
    "pprint": "pprint.pformat({'a': 1}) == \"{'a': 1}\"",
    "random": "random.choice([1]) == 1 and len(random.sample(range(9), 3)) == 3",
    "re": "re.sub(r'\\bphne\\b', 'phone', 'a PHNE', flags=re.IGNORECASE) == 'a phone'",
    "reprlib": "reprlib.repr('x' * 100) != repr('x' * 100)",
    "secrets": "len(secrets.token_hex(4)) == 8",
    "statistics": "statistics.stdev([1, 2, 3]) == 1 and statistics.NormalDist().cdf(0) == 0.5",
    "string": "string.Template('$a').substitute(a=1) == '1'",
    "struct": "struct.unpack('<I', b'\\1\\0\\0\\0') == (1,)",
    "textwrap": "textwrap.shorten('a b c d', 5, placeholder='') == 'a b c'",
    "time": "time.strftime('%Y', time.gmtime(0)) == '1970' and time.time() > 1e9",
    "traceback": "traceback.format_exception_only(KeyError('a')) == [\"KeyError: 'a'\\n\"]",
    "types": "types.SimpleNamespace(a=1).a == 1",
    "typing": "typing.get_type_hints(typing.NamedTuple('P', [('x', int)])) == {'x': int}",
    "unicodedata": "unicodedata.normalize('NFKD', 'é')[0] == 'e'",
    "urllib": "urllib.__name__ == 'urllib'",
    "urllib.parse": "urllib.parse.parse_qs('a=1&a=%C3%A9') == {'a': ['1', 'é']}",
    "uuid": "uuid.uuid5(uuid.NAMESPACE_DNS, 'a').version == 5 and uuid.uuid4().version == 4",
    "warnings": "warnings.warn('a') is None",
    "weakref": "weakref.WeakValueDictionary() is not None",
    "zlib": "zlib.decompress(zlib.compress(b'a')) == b'a'",
}


@pytest.mark.parametrize("module", USES)
async def test_module_works(runner: Runner, module: str) -> None:
    """The module can be imported in a sandbox, and does its work there."""
    assert await runner.value(USES[module], before=f"import {module}") is True


async def test_list_is_the_code(runner: Runner) -> None:
    """The list the sandbox is built from, the documented one and the tested one are the same."""
    promised = await runner.value("list(runtime.modules.PROMISED)", before="import runtime.modules")
    section = DOCUMENT.read_text().split("## Modules")[1].split("\n## ")[0]
    documented = re.findall(r"^\| `([a-z0-9_.]+)` \|", section, flags=re.MULTILINE)
    assert sorted(promised) == sorted(USES)
    assert sorted(promised) == sorted(documented)


@pytest.mark.parametrize(
    "codec", ["ascii", "latin-1", "cp1252", "utf-16", "utf-32-le", "utf-8-sig", "idna", "punycode"]
)
async def test_text_encodings(runner: Runner, codec: str) -> None:
    """The usual text encodings are there, though they load late."""
    assert await runner.value(f"'abc'.encode('{codec}').decode('{codec}')") == "abc"


@pytest.mark.parametrize("module", ["socket", "select", "subprocess", "ctypes", "sqlite3", "ssl"])
async def test_absent_modules(runner: Runner, module: str) -> None:
    """What reaches outside is not there."""
    error = await runner.fails(f"import {module}")
    assert f"No module named '{module}' in the sandbox" in error.reason


@pytest.mark.parametrize("name", ["hashlib.pbkdf2_hmac", "hashlib.scrypt", "time.thread_time"])
async def test_parts_that_are_not_there(runner: Runner, name: str) -> None:
    """What a module lacks here is said where it is listed."""
    module, _, part = name.partition(".")
    assert await runner.value(f"hasattr({module}, '{part}')", before=f"import {module}") is False
    (row,) = re.findall(rf"^\| `{module}` \|.*$", DOCUMENT.read_text(), flags=re.MULTILINE)
    assert f"`{part}`" in row
