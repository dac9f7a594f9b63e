"""Every setting of the server, read once: from ENCODERY_* variables, and a TOML file. Units are in the names.

A command-line flag wins over the environment, that over the file, and that over the default. A flag that
names an address also wins over a Unix socket, which would stand in its place.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, create_model, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.aliases import Aliases, written_aliases
from app.compatibility import PROFILES, Compatibility, with_profile
from app.places import default_cache_dir, read_regular
from app.setting_types import (
    MOST,
    Count,
    Hosts,
    Mode,
    Number,
    Origins,
    PathPrefix,
    Pulls,
    Seconds,
    SecondsOrNever,
    Secret,
    TrustedProxies,
    WholeSeconds,
    listed,
)
from bundle import KINDS
from bundle.cores import usable_cores
from bundle.preprocess import LimitSetting
from bundle.shipped import SHIPPED
from bundle.words import first_mistake

PREFIX = "ENCODERY_"
FILE = "ENCODERY_CONFIG"  # names the TOML file
# A Kubernetes service called "encodery" or "encodery-..." puts its addresses into every pod's environment.
_SERVICE_LINK = re.compile(
    r"ENCODERY(_[A-Z0-9_]+)?_(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)\w*)?)"
)
_OTHERS = frozenset(
    {FILE, "ENCODERY_DATA", "ENCODERY_TEACHERS", "ENCODERY_TORCH", "ENCODERY_TORCH_INDEX"}
)  # all but the first: training, dev.py

_UNSET = {  # what is told where there is no value; otherwise "none"
    "batch_tokens": "measured",
    "cache_dir": "~/.cache/encodery",
    "required_models": "the default model",
}

MOST_WORKERS = 64  # each loads every model; who has more cores runs more servers


class _Settings(BaseSettings):
    """The settings; each field is the variable ENCODERY_<NAME>. The kinds of input add their limits."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    models_dir: Path = Field(
        Path("models"),
        description="directory of published models. By default, where there is none of that name, the server "
        "takes those that came with the package",
    )
    default_model: str = Field("text", description="model of a request that names none")
    model_aliases: Aliases = Field(
        {},
        description="other names for models, for clients whose names are fixed, as "
        "`text-embedding-3-small=text,ada-*=text/2`; in the file a table",
    )
    aliases_file: Path | None = Field(
        None,
        description="TOML file of such names, which may have `*` for any part of them; read again when it "
        "changes",
    )
    required_models: str = Field(
        "", description="models that readiness needs, with commas; by default the default model"
    )
    pull: Pulls = Field(
        "",
        description="models to fetch before the server starts, each a place and a name, as "
        "`s3://bucket/models text@7, oci://registry.example/encoders text-small`: `encodery models pull`",
    )
    trusted_keys: Path | None = Field(
        None,
        description="PEM file of public keys (Ed25519), of which one must have signed each bundle: what is "
        "signed by none is refused when it is loaded, fetched or switched to; read again at each change",
    )
    versions_per_model: Count = Field(
        2,
        description="versions kept in memory per model: the current one, those before it, and the newest "
        "others",
    )
    poll_s: SecondsOrNever = Field(
        0.0,
        description="how often to look whether another version of a model was made current, and switch to "
        "it; 0 for at SIGHUP only",
    )

    compatibility: Compatibility = Field(
        "none",
        description="in whose place this server stands, for clients that are not to notice: `tei` sets the "
        "next three as Text Embeddings Inference has them, but those that are given",
    )
    auto_truncate: bool = Field(
        False,
        description="cut a text that is too long where a request to TEI's or OpenAI's routes does not say "
        "what to do with it; by default it is refused. `/info` tells",
    )
    openai_unknown_model: Literal["refuse", "default"] = Field(
        "refuse",
        description="a model that is not there, on OpenAI's routes: 404, or the default model answers, and "
        "the answer says so",
    )
    openai_token_ids: bool = Field(
        False,
        description="read token ids on OpenAI's routes as this model's own; by default they are refused, "
        "since most clients send those of another tokenizer",
    )

    cache_dir: Path | None = Field(
        None,
        description="directory, of this user alone, for what is kept from start to start: proofs, prepared "
        "weights, the pace measured. By default `encodery` in the user's cache directory; "
        "without one that is private, nothing is kept",
    )
    proof_limit_s: Seconds = Field(
        60.0,
        description="CPU time that proving one version may take, by the clock twice as much; "
        "over it the version is refused",
    )

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for every interface")
    listen_port: Annotated[int, Number] = Field(
        8000, ge=0, le=65535, description="port to listen on; 0 for any free one"
    )
    socket: Path | None = Field(
        None, description="Unix socket to listen on, in place of address and port; not on Windows"
    )
    socket_mode: Mode = Field(
        "660", description="who may connect to it: permissions of its file, as chmod takes them"
    )
    tls_certificate: Path | None = Field(
        None,
        description="PEM file of the server's certificate, with those between it and the root: serve HTTPS",
    )
    tls_key: Path | None = Field(
        None, description="PEM file of its private key; by default it stands in the certificate's file"
    )
    trusted_proxies: TrustedProxies = Field(
        "",
        description="addresses and networks of proxies whose X-Forwarded-For, -Proto and -Prefix are "
        "believed, with commas; `unix` for whoever connects to the Unix socket, `*` for all. By default none",
    )
    root_path: PathPrefix = Field(
        "", description="prefix under which a proxy serves this server, and which it takes away from paths"
    )
    api_key: Secret | None = Field(
        None,
        description="a key that every request must show, but those for health; better in a file of keys",
    )
    keys_file: Path | None = Field(
        None, description="TOML file of keys, scopes and limits: `encodery keys`; read again when it changes"
    )
    cors_origins: Origins = Field(
        "",
        description="origins of pages that may read the answers, with commas: `https://shop.example`, `*` "
        "for any part; `local` for pages and programs of this machine; `*` for all. By default none",
    )
    allowed_hosts: Hosts = Field(
        "",
        description="names under which the server may be asked beside local ones, with commas: "
        "`embed.example`, `*.example`, `*` for all. By default none where it listens to this machine alone "
        "and trusts no proxy, else all",
    )
    keep_alive_s: WholeSeconds = Field(
        75, description="how long an idle connection is kept; longer than a proxy in front keeps it"
    )
    drain_delay_s: Annotated[float, Number] = Field(
        0.0,
        ge=0,
        le=3600,
        description="how long to go on answering after SIGTERM, with /health/ready at 503, so that load "
        "balancers look away before the port closes",
    )
    shutdown_grace_s: WholeSeconds = Field(
        25, description="how long accepted requests may take to finish after that"
    )

    workers: Count = Field(
        1,
        le=MOST_WORKERS,
        description="server processes on the port; over 1, a supervisor starts them, "
        "and replaces one that dies or hangs",
    )
    threads: Count = Field(
        default_factory=lambda given: max(1, usable_cores() // given.get("workers", 1)),
        description="forward passes at once in a worker, each on one thread; by default the cores this "
        "process may use, divided among the workers",
    )
    same_bits: bool = Field(
        False,
        description="give an input the same vector to the last bit, alone and in any batch; without it some "
        "differ by 1e-7. Batches are padded to lengths that eight divides",
    )
    batch_tokens: Count | None = Field(
        None,
        description="most tokens of a forward pass, with the padding where there is some; rows for features. "
        "By default measured for each model while it serves",
    )
    stall_limit_s: Seconds = Field(
        10.0,
        description="what takes longer hangs: a forward pass is given up, /health/live fails, and the "
        "process is replaced, or ends itself where it is alone; so it does where its event loop stands still",
    )

    max_body_bytes: Count = Field(
        2 * 1024 * 1024, description="largest request body, compressed and expanded"
    )
    max_media_body_bytes: Count = Field(
        16 * 1024 * 1024, description="the same for a body of bytes, such as a picture, or a form of several"
    )
    max_score_body_bytes: Count = Field(
        16 * 1024 * 1024, description="the same for POST /score, which may carry vectors"
    )
    max_bodies_bytes: Count = Field(
        64 * 1024 * 1024,
        description="most bytes of request bodies held at once in each process, until their requests are "
        "answered; over it requests get 429",
    )
    head_timeout_s: Seconds = Field(10.0, description="how long the head of a request may take to arrive")
    answer_timeout_s: Seconds = Field(
        30.0, description="how long a client may read nothing of its answer, before it is cut off"
    )
    body_timeout_s: Seconds = Field(10.0, description="how long a request body may take to arrive")
    max_items: Count = Field(2048, description="most inputs of a request")
    max_candidates: Count = Field(10_000, description="most candidates of a POST /score")
    max_explain_rows: Count = Field(
        8192, description="most inputs that a POST /explain encodes, with all that it leaves out in turn"
    )
    max_queue_items: Count = Field(
        8192, description="most inputs in work, in all workers together; over it requests get 429"
    )
    max_queue_tokens: Count = Field(
        262_144, description="the same for tokens (or rows of features) that wait"
    )
    max_answer_bytes: Count = Field(
        32 * 1024 * 1024, description="largest answer; vectors in JSON take up to 14 bytes per dimension"
    )
    result_cache_bytes: Annotated[int, Number] = Field(
        0,
        ge=0,
        le=MOST,
        description="memory for vectors of inputs that may come again, in each worker; 0 keeps none",
    )
    max_wait_s: Seconds = Field(
        2.0,
        description="how long a request's work may wait for that of others, at the rate measured; over it, "
        "or when it would end after its own deadline, 429. Bulk work has its deadline only",
    )
    request_timeout_s: Seconds = Field(
        10.0, description="how long a request may take to be encoded; over it 504, and what waits is dropped"
    )

    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto: console on a terminal, JSON elsewhere"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="debug logs every request"
    )
    audit_file: Path | None = Field(
        None,
        description="file for the lines of the audit: keys that changed, callers that were refused; "
        "by default they go to the log",
    )
    metrics: bool = Field(True, description="serve Prometheus metrics at /metrics")

    @model_validator(mode="before")
    @classmethod
    def _add_profile(cls, given: Any) -> Any:
        return with_profile(given) if isinstance(given, Mapping) else given

    @property
    def required(self) -> tuple[str, ...]:
        """The models that readiness needs."""
        return tuple(listed(self.required_models)) or (self.default_model,)

    def value(self, setting: LimitSetting) -> int:
        """The value of a setting that a kind of input declares."""
        value: int = getattr(self, setting.name, setting.default)
        return value

    def environment(self) -> dict[str, str]:
        """What was given, as variables for another process; secrets come from the environment only."""
        return {
            f"{PREFIX}{name.upper()}": _as_variable(value)
            for name in sorted(self.model_fields_set)
            if not isinstance(value := getattr(self, name), SecretStr) and value is not None
        }

    def values(self) -> dict[str, Any]:
        """As JSON has them, with what follows from others as what it comes to; secrets are asterisks."""
        place = self.cache_dir or default_cache_dir()
        computed = {"cache_dir": place and str(place), "required_models": ",".join(self.required)}
        return self.model_dump(mode="json") | computed

    def shown(self) -> dict[str, str]:
        """The same as text, for people."""
        return {name: _written(name, value) for name, value in self.values().items()}

    def changed(self) -> dict[str, str]:
        """The same, of those that are not as by default."""
        given = {"workers": self.workers}  # on which the default of `threads` depends
        defaults = {
            name: field.get_default(call_default_factory=True, validated_data=given)
            for name, field in type(self).model_fields.items()
        }
        return {name: value for name, value in self.shown().items() if getattr(self, name) != defaults[name]}


def _written(name: str, value: Any) -> str:
    return _UNSET.get(name, "none") if value in (None, "", {}) else _as_variable(value)


def _as_variable(value: Any) -> str:
    return written_aliases(value) if isinstance(value, Mapping) else str(value)


def _limit_fields() -> dict[str, Any]:
    limits = [limit for kind in KINDS.values() for limit in kind.limits]
    settings = {one.name: one for limit in limits for one in limit.settings}
    return {name: (Count, Field(one.default, description=one.description)) for name, one in settings.items()}


if TYPE_CHECKING:
    Settings = _Settings
else:
    Settings = create_model("Settings", __base__=_Settings, __doc__=_Settings.__doc__, **_limit_fields())


class SettingsError(ValueError):
    """A setting has a value that it cannot have; the message names the variable."""


def settings_from(**given: Any) -> Settings:
    """The settings of this process; what is None comes from the environment, then from the file.

    Raises:
        SettingsError: naming the variable, or the file and its key.
    """
    return sourced_settings(**given).settings


@dataclass(frozen=True, slots=True)
class SourcedSettings:
    """Settings, and for each that is not the default where it came from: environment, file or command."""

    settings: Settings
    sources: Mapping[str, str]


def sourced_settings(**given: Any) -> SourcedSettings:
    """Read the settings, and where each comes from. Raises SettingsError."""
    command = {name: value for name, value in given.items() if value is not None}
    if command.keys() & {"host", "listen_port"}:
        command.setdefault("socket", None)
    variables = {name for name in Settings.model_fields if os.environ.get(f"{PREFIX}{name.upper()}")}
    if os.environ.get(f"{PREFIX}API_KEY") == "":  # not taken for no key: that would open the server
        raise SettingsError(f"{PREFIX}API_KEY is empty; give it a key, or remove the variable")
    file = _read_file(os.environ.get(FILE, ""))
    rest = {name: value for name, value in file.items() if name not in variables}
    sources = dict.fromkeys(file, f"file {os.environ.get(FILE)}") | dict.fromkeys(variables, "environment")
    try:
        settings = Settings(**(rest | command))
    except ValidationError as error:
        place, mistake = first_mistake(error)
        where = f"{sources[place[0]]}: " if place[0] in rest else ""
        raise SettingsError(f"{where}{PREFIX}{place[0].upper()}: {mistake}") from None
    sources |= {name: "command" for name in command if name in sources or command[name] is not None}
    profile = dict.fromkeys(PROFILES[settings.compatibility], f"compatibility {settings.compatibility}")
    return SourcedSettings(settings, profile | sources)


def with_shipped(settings: Settings) -> Settings:
    """The settings with the models that came with the package, where there are no others.

    That is: nobody said where models are, or where they come from, and there is no directory of the default
    name. It is for those who read; whoever writes makes that directory.
    """
    is_said = settings.model_fields_set & {"models_dir", "pull"}
    if is_said or os.path.lexists(settings.models_dir) or not SHIPPED.is_dir():
        return settings
    return settings.model_copy(update={"models_dir": SHIPPED})


def _read_file(path: str) -> dict[str, Any]:
    """The settings in a TOML file, by name; none without a path. Raises SettingsError."""
    if not path:
        return {}
    try:
        content = tomllib.loads(read_regular(Path(path)).decode())
    except OSError as error:
        raise SettingsError(f"{FILE}={path}: {error.strerror}") from None
    except ValueError as error:  # of TOML, or of UTF-8
        raise SettingsError(f"{path} is no TOML: {error}") from None
    known = Settings.model_fields
    for name in content:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            raise SettingsError(f"{path}: there is no setting {name}{hint}")
    return content


def unknown_variables(environment: Mapping[str, str]) -> dict[str, str | None]:
    """ENCODERY_* variables that mean nothing, each with the nearest one that does."""
    known = {name.upper() for name in Settings.model_fields}
    unknown = [
        name
        for name in sorted(environment)
        if name.startswith(PREFIX)
        and name.removeprefix(PREFIX) not in known
        and name not in _OTHERS
        and not _SERVICE_LINK.fullmatch(name)
    ]
    return {name: _nearest(name.removeprefix(PREFIX), known) for name in unknown}


def _nearest(name: str, known: Iterable[str]) -> str | None:
    nearest = difflib.get_close_matches(name, known, n=1)
    return PREFIX + nearest[0] if nearest else None


def settings_table() -> str:
    """Every setting as a Markdown table, for the docs."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default: Any = "usable cores / workers" if field.default_factory else field.default
        default = _UNSET.get(name, "none") if default in (None, "", {}) else default
        rows.append(f"| `{PREFIX}{name.upper()}` | `{default}` | {field.description} |")
    return "\n".join(rows) + "\n"
