"""The backends that can be embedded: where they come from and what they need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy.embedded.artifacts import Artifact
from proxy.embedded.errors import EmbeddedError

# A runtime without one of these either does not start the backend or cannot create an index.
MODULES = frozenset(
    {
        "java.instrument",
        "java.management",
        "jdk.incubator.vector",
        "jdk.localedata",
        "jdk.management",
        "jdk.unsupported",
    }
)

# What the bundled runtime lacks and the launch makes up for.
CURED_MODULES = frozenset({"jdk.incubator.vector"})

ICU = (
    Artifact(
        "com.ibm.icu",
        "icu4j",
        "77.1",
        "jar",
        sha256="b3640b9f416a4411fd33c59abbeea8fd57d024c23e1819bf9673220a97499fe3",
    ),
    Artifact(
        "com.ibm.icu",
        "icu4j-localespi",
        "77.1",
        "jar",
        sha256="77d0da4f10c6158174cc3dafbb51356031a09e0fcaaf0432330afb4fb552cac9",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """One product.

    java: by major version, newest first, the lowest and highest Java it runs on (None: no bound).
    sha256: checksums of the archives this release was tested with, by version; the checksum of
        any other version is asked of the repository.
    java_variable: the environment variable of its own that names a Java home.
    usual_start: seconds to the first response on a small machine, for the progress bar.
    bundled_java: whether it runs on the bundled runtime.
    """

    name: str
    title: str
    default_version: str
    sha256: Mapping[str, str]
    java: Mapping[int, tuple[int, int | None]]
    java_variable: str
    usual_start: float
    bundled_java: bool
    settings: Mapping[str, str] = field(default_factory=dict)

    def archive(self, version: str) -> Artifact:
        """The zip file of a version."""
        group = f"org.{self.name}.distribution.integ-test-zip"
        return Artifact(group, self.name, version, "zip", sha256=self.sha256.get(version))

    def java_range(self, version: str) -> tuple[int, int | None]:
        """The lowest and the highest Java (None: no bound) a version runs on.

        Raises EmbeddedError for a version older than any known one.
        """
        major = int(version.split(".")[0])
        for known, bounds in self.java.items():
            if major >= known:
                return bounds
        raise EmbeddedError(
            f"{self.title} {version} is too old to be embedded: choose {min(self.java)}.x or newer"
        )


_OPENSEARCH = Distribution(
    name="opensearch",
    title="OpenSearch",
    default_version="3.8.0",
    sha256={
        "3.8.0": "196c3cf4602c394f2e40e6174ccbf2a924eae37246f08fa6bbb6b75f9fd5ff1f",
        "2.19.4": "3902e642715210d1d9d7cbdcc8f5abd6f931d1d7a679cea3750937becf16c406",
    },
    java={3: (21, None), 2: (11, 23)},
    java_variable="OPENSEARCH_JAVA_HOME",
    usual_start=14,
    bundled_java=True,
)

_ELASTICSEARCH = Distribution(
    name="elasticsearch",
    title="Elasticsearch",
    default_version="9.5.0",
    sha256={
        "9.5.0": "db0e275fd790f723eca7bcde96069fd6fed304ad23afdb70c8c09553dd9e8b1b",
        "8.19.0": "14833b2d86c30656901f92049f81fb5777a8e4545413c8656cd1a21b55173033",
    },
    java={9: (21, None), 8: (17, None)},
    java_variable="ES_JAVA_HOME",
    usual_start=12,
    bundled_java=False,
    settings={"xpack.security.enabled": "false"},
)

DISTRIBUTIONS = (_OPENSEARCH, _ELASTICSEARCH)


def distribution(name: str) -> Distribution:
    """Raises EmbeddedError for a name that is none."""
    for known in DISTRIBUTIONS:
        if known.name == name:
            return known
    names = ", ".join(known.name for known in DISTRIBUTIONS)
    raise EmbeddedError(f"distribution {name!r} is unknown: choose one of {names}")
