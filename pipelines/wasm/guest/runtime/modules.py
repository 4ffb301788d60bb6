"""The modules a UDF can import. The component has no file system, so whatever is not loaded here,
at build time, does not exist at run time: this list is the allow-list.
"""

import importlib

# What the documentation promises; each is tried in a real sandbox by the tests.
PROMISED = """
abc array ast base64 binascii bisect calendar cmath collections collections.abc contextlib copy csv
dataclasses datetime decimal difflib enum fractions functools hashlib heapq hmac html html.entities
html.parser inspect io ipaddress itertools json keyword locale logging math numbers operator pprint
random re reprlib secrets statistics string struct textwrap time traceback types typing
unicodedata urllib urllib.parse uuid warnings weakref zlib
""".split()  # noqa: SIM905  (one name a line would hide the list)

# What the standard library loads only when it is first needed, which is too late in here.
LATER = """
_colorize _pylong _strptime _weakrefset annotationlib codecs contextvars copyreg dis errno gc
importlib importlib.util json.decoder json.encoder linecache opcode os posixpath queue stringprep
string.templatelib sys threading token tokenize platform
encodings.aliases encodings.ascii encodings.base64_codec encodings.cp1250 encodings.cp1251
encodings.cp1252 encodings.cp437 encodings.cp850 encodings.hex_codec encodings.idna
encodings.iso8859_1 encodings.iso8859_15 encodings.iso8859_2 encodings.koi8_r encodings.latin_1
encodings.mac_roman encodings.punycode encodings.raw_unicode_escape encodings.rot_13
encodings.unicode_escape encodings.utf_16 encodings.utf_16_be encodings.utf_16_le encodings.utf_32
encodings.utf_32_be encodings.utf_32_le encodings.utf_7 encodings.utf_8 encodings.utf_8_sig
encodings.zlib_codec
""".split()  # noqa: SIM905  (one name a line would hide the list)

ALLOWED = (*PROMISED, *LATER)

for _name in ALLOWED:
    importlib.import_module(_name)
