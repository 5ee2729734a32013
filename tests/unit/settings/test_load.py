"""A configuration is read whole, or every fault of it is told at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from driftloop.errors import Fault, SettingsError
from driftloop.settings import CycleWindow, Policy, Profile, Settings, load_settings
from driftloop.settings.base import milliseconds

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a driftloop.toml in a folder of its own, the working directory."""
    monkeypatch.chdir(tmp_path)

    def to_file(text: str) -> Path:
        file = tmp_path / "driftloop.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return to_file


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DRIFTLOOP_CONFIG", "DRIFTLOOP_HOME", "KAFKA_BOOTSTRAP_SERVERS"):
        monkeypatch.delenv(name, raising=False)


def _faults(file: Path | None = None) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(file)
    return {fault.place: str(fault) for fault in caught.value.faults}


def test_without_a_file_the_defaults_hold(write: Write) -> None:
    del write
    settings = load_settings()
    assert settings.model_dump() == Settings().model_dump()
    assert settings.profile_of("streams.a") is not None
    assert settings.profile_of("other") is None


def test_a_named_file_must_exist(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    del write
    assert "a readable file" in str(_faults(Path("absent.toml")))
    monkeypatch.setenv("DRIFTLOOP_CONFIG", "absent.toml")
    assert "a readable file" in str(_faults())


def test_text_that_is_no_toml_is_one_fault(write: Write) -> None:
    write("[kafka")
    assert _faults() == {
        "driftloop.toml, line 1": "driftloop.toml, line 1: ']' at the end of a table declaration, "
        "got '[kafka'"
    }


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("[kafka]\nx = \n", 2, "a value: a text in quotes, a number"),
        ("[a]\n[a]\n", 2, "valid TOML (cannot declare ('a',) twice)"),
        ("[kafka]\nbootstrap_servers: 'a:1'\n", 2, "'=' after a key in a key/value pair"),
        ("a = [1\nb = 2\n", 2, "valid TOML (unclosed array)"),
        ("[store.options]\nsecret = open-sesame\n", 2, "got 'secret = …'"),
    ],
)
def test_a_fault_of_toml_stands_with_its_line_and_shows_no_value(
    write: Write, text: str, line: int, told: str
) -> None:
    write(text)
    found = _faults()
    assert list(found) == [f"driftloop.toml, line {line}"]
    assert told in str(found)
    assert "sesame" not in str(found)


def test_every_fault_is_told_at_once_with_key_value_and_rule(write: Write) -> None:
    found = _faults(
        write(
            """
            [monitor]
            shards = 0
            [trainer]
            device = "tpu"
            [profiles.a]
            topics = "("
            [profiles.a.policy]
            cooldown = "7 days"
            """
        )
    )
    assert set(found) == {
        "monitor.shards",
        "trainer.device",
        "profiles.a.topics",
        "profiles.a.policy.cooldown",
    }
    assert "at least 1, got 0" in found["monitor.shards"]
    assert "'auto', 'cpu', 'cuda' or 'cuda:N', got 'tpu'" in found["trainer.device"]
    assert "'7 days'" in found["profiles.a.policy.cooldown"]


@pytest.mark.parametrize(
    ("text", "place", "meant"),
    [
        ("[kafka]\nboostrap_servers = 'a'", "kafka.boostrap_servers", "bootstrap_servers"),
        ("[monitr]\nshards = 4", "monitr", "monitor"),
        ("[profiles.a]\ntopic = 'a'", "profiles.a.topic", "topics"),
        ("[profiles.a.polcy]\ncost = 1.0", "profiles.a.polcy", "policy"),
        (
            "[profiles.a.window]\nkind = 'count'\nrecord = 30",
            "profiles.a.window.record",
            "records",
        ),
        (
            "[profiles.a.window]\nkind = 'cycle'\nlength = '7d'\nlatenes = '1d'",
            "profiles.a.window.latenes",
            "lateness",
        ),
        (
            "[profiles.a.policy]\ndetectors = ['adwin', { kind = 'kswin', stat_siz = 9 }]",
            "profiles.a.policy.detectors.1.stat_siz",
            "stat_size",
        ),
    ],
)
def test_an_unknown_key_is_a_fault_that_names_what_was_meant(
    write: Write, text: str, place: str, meant: str
) -> None:
    assert f"did you mean '{meant}'?" in _faults(write(text))[place]


def test_an_unknown_key_like_no_other_names_the_known_ones(write: Write) -> None:
    assert (
        "known: also, grace, keep, options, uri" in _faults(write("[store]\nzzz = 1"))["store.zzz"]
    )


def test_the_environment_overrides_the_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("[trainer]\ndevice = 'cpu'\nseed = 3\n[kafka]\nbootstrap_servers = 'file:1'")
    monkeypatch.setenv("DRIFTLOOP_TRAINER__DEVICE", "cuda:1")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka:1")
    settings = load_settings()
    assert settings.trainer.device == "cuda:1"
    assert settings.trainer.seed == 3
    assert settings.kafka.bootstrap_servers == "kafka:1"
    monkeypatch.setenv("DRIFTLOOP_KAFKA__BOOTSTRAP_SERVERS", "own:1")
    assert load_settings().kafka.bootstrap_servers == "own:1"


def test_a_variable_of_an_unknown_section_is_a_fault(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    del write
    monkeypatch.setenv("DRIFTLOOP_TRANER__DEVICE", "cpu")
    assert "DRIFTLOOP_TRAINER__" in _faults()["DRIFTLOOP_TRANER__DEVICE"]


def test_a_variable_with_an_unknown_key_is_a_fault(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    del write
    monkeypatch.setenv("DRIFTLOOP_TRAINER__DEVISE", "cpu")
    assert "did you mean 'device'?" in _faults()["trainer.devise"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "task = 'binary'",
            "profiles.a.loss: log_loss, zero_one, squared, as fits task binary, got 'absolute'",
        ),
        ("task = 'multiclass'\nloss = 'log_loss'", "profiles.a.classes: two or more labels"),
        (
            "task = 'binary'\nloss = 'log_loss'\nclasses = ['a']",
            "profiles.a.classes: two labels or none, as task is binary, got ['a']",
        ),
        (
            "[profiles.a.model]\nkind = 'mlp_classifier'",
            "profiles.a.model.kind: a kind that fits task regression, got 'mlp_classifier'",
        ),
        ("[profiles.a.window]\nrecords = 30", "profiles.a.window.kind: 'count' or 'cycle'"),
        (
            "[profiles.a.window]\nkind = 'counts'\nrecords = 30",
            "profiles.a.window.kind: 'count', 'cycle', got 'counts' (did you mean 'count'?)",
        ),
        (
            "[profiles.a.window]\nkind = 'cycle'\nlength = '36h'\ncycle = '1d'",
            "profiles.a.window.length: a whole number of cycles of 1d, got '36h'",
        ),
        (
            "[profiles.a.policy]\nkind = 'periodic'",
            "profiles.a.policy.every: policy periodic needs 'every'",
        ),
        ("[profiles.a.features]\nnumeric = ['a', 'a']", "twice: a"),
        (
            "[profiles.a.features]\ncategorical = ['b']\n[profiles.a.training]\nslices = ['c']",
            "profiles.a.training.slices: names of features.categorical (b); others: c, got ['c']",
        ),
        (
            "[profiles.a.training]\nslices = ['c']",
            "profiles.a.training.slices: names of features.categorical (there are none)",
        ),
        (
            "[profiles.a.training]\nholdout = 0.6\nforgetting_holdout = 0.4",
            "training.forgetting_holdout: at most 0.9 with training.holdout, 0.6, got 0.4",
        ),
        (
            "[profiles.a.training]\nrefuse = 'significantly worse'",
            "profiles.a.training.refuse: 'significantly-worse' or 'worse'",
        ),
        ("[profiles.a.training]\nslice_records = 5", "training.slice_records: at least 10, got 5"),
        (
            "[profiles.a.features]\nnumeric = ['a']\nsequence = ['b', 'a']",
            "features.sequence: names of features.numeric; not among them: b, got ['b', 'a']",
        ),
        (
            "[profiles.a.features]\nnumeric = ['a']\nsequence = ['a', 'a']",
            "profiles.a.features.sequence: each lag is named once, the oldest first; twice: a",
        ),
        (
            "[profiles.a.features]\ncalendar = ['day-of-week', 'day-of-week']",
            "profiles.a.features.calendar: each part of the time is named once",
        ),
        ("[profiles.a.features]\ncalendar = ['hour-of-dya']", "did you mean 'hour-of-day'?"),
        (
            "[profiles.a.model]\nkind = 'forecaster_tcn'",
            "features.sequence: names of the lags, as model.kind forecaster_tcn needs them, got []",
        ),
        (
            "task = 'binary'\nloss = 'log_loss'\n[profiles.a.model]\nkind = 'forecaster_mlp'",
            "profiles.a.model.kind: a kind that fits task binary, got 'forecaster_mlp'",
        ),
    ],
)
def test_what_does_not_fit_together_is_told(write: Write, text: str, told: str) -> None:
    assert told in "\n".join(_faults(write(f"[profiles.a]\n{text}")).values())


DETECTORS = "profiles.a.policy.detectors"


@pytest.mark.parametrize(
    ("detectors", "place", "told"),
    [
        ("'adwim'", f"{DETECTORS}.0", "did you mean 'adwin'?, got 'adwim'"),
        ("'adwin', { kind = 'hdm_a' }", f"{DETECTORS}.1", "did you mean 'hddm_a'?"),
        ("'zzz'", f"{DETECTORS}.0", "one of adwin, page_hinkley, kswin, ddm, eddm, fhddm, hddm_a"),
        ("{ on = 'loss' }", f"{DETECTORS}.0", "needs its kind"),
        ("3", f"{DETECTORS}.0", "a text, as 'adwin:score', or a table, got 3"),
        ("'adwin:'", f"{DETECTORS}.0", "on is loss, error, score or x.NAME, not ''"),
        ("'adwin:x.'", f"{DETECTORS}.0", "not 'x.'"),
        ("'ddm:loss'", f"{DETECTORS}.0", "ddm reads 0 and 1: on error, not loss"),
        ("'hddm_w:x.heat'", f"{DETECTORS}.0", "hddm_w reads numbers from 0 to 1: on error or sc"),
        ("{ kind = 'adwin', delta = 2.0 }", f"{DETECTORS}.0.delta", "less than 1, got 2.0"),
        (
            "{ kind = 'fhddm', sliding_window_size = 0 }",
            f"{DETECTORS}.0.sliding_window_size",
            "at least 1",
        ),
        ("{ kind = 'kswin', stat_size = 51 }", f"{DETECTORS}.0", "at most half of window_size"),
        ("{ kind = 'fhddm', short_window_size = 101 }", f"{DETECTORS}.0", "not 101 of 100"),
        ("'adwin:x.haet'", DETECTORS, "no known feature (did you mean 'heat'?)"),
        ("'adwin:x.zzz'", DETECTORS, "no known feature (known: heat)"),
        ("'adwin:x.hue'", DETECTORS, "reads a number; hue is categorical"),
        ("'hddm_a:score'", DETECTORS, "a regression's score has others"),
        ("'ddm', 'ddm:error'", DETECTORS, "reads a value once; twice: ddm"),
    ],
)
def test_a_detector_that_cannot_be_is_told(
    write: Write, detectors: str, place: str, told: str
) -> None:
    features = "features = { numeric = ['heat'], categorical = ['hue'] }"
    text = f"[profiles.a]\n{features}\n[profiles.a.policy]\ndetectors = [{detectors}]"
    assert told in _faults(write(text))[place]


def test_a_detector_is_a_text_or_a_table_and_the_shortest_form_stands_for_it(write: Write) -> None:
    write(
        "[profiles.a.features]\nnumeric = ['heat']\n[profiles.a.policy]\ndetectors = "
        "['adwin:loss', 'kswin:x.heat', { kind = 'ddm' }, { kind = 'adwin', on = 'score', "
        "delta = 0.01 }]"
    )
    policy = load_settings().profiles["a"].policy
    assert [(one.name, one.on) for one in policy.detectors] == [
        ("adwin", "loss"),
        ("kswin:x.heat", "x.heat"),
        ("ddm", "error"),
        ("adwin:score", "score"),
    ]
    assert policy.detectors[3].parameters["delta"] == 0.01
    short = policy.model_dump(mode="json")["detectors"]
    assert short == [
        "adwin",
        "kswin:x.heat",
        "ddm",
        {"kind": "adwin", "on": "score", "delta": 0.01},
    ]
    assert Policy(detectors=short).detectors == policy.detectors


def test_a_detectors_parameters_are_part_of_the_profiles_hash() -> None:
    def digest(*detectors: object) -> str:
        return Profile(policy=Policy(detectors=detectors)).hash

    assert digest("adwin") == digest({"kind": "adwin", "delta": 0.002}) == Profile().hash
    assert digest({"kind": "adwin", "delta": 0.003}) != digest("adwin") != digest("kswin")


def test_durations_are_a_number_and_a_unit(write: Write) -> None:
    write("[profiles.a.window]\nkind = 'cycle'\nlength = '2w'\ncycle = '1d'\nlateness = '90m'")
    window = load_settings().profiles["a"].window
    assert isinstance(window, CycleWindow)
    assert milliseconds(window.length) == 14 * 86_400_000
    assert milliseconds(window.lateness) == 5_400_000


def test_the_first_profile_that_matches_the_whole_name_counts(write: Write) -> None:
    write("[profiles.first]\ntopics = 'a.*'\n[profiles.second]\ntopics = '[^d].+'")
    settings = load_settings()
    found = [settings.profile_of(topic) for topic in ("abc", "xabc")]
    assert [one[0] for one in found if one] == ["first", "second"]


def test_a_profiles_hash_is_that_of_what_decisions_depend_on(write: Write) -> None:
    def digest(text: str) -> str:
        return load_settings(write(f"[profiles.a]\n{text}")).profiles["a"].hash

    plain = digest("topics = 'a'")
    assert digest("topics = 'b'") == plain
    assert digest("topics = 'a'\nsilent_after = '1m'") == plain
    assert digest("topics = 'a'\n[profiles.a.policy]\ncost = 21.0") != plain


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kafka = 3", "kafka: a table, got 3"),
        ("[monitor]\nshards = 'many'", "monitor.shards: a whole number, got 'many'"),
        ("[monitor]\nshards = 2000", "monitor.shards: at most 1024, got 2000"),
        ("[topics]\ncreate = 'maybe'", "topics.create: true or false, got 'maybe'"),
        ("[topics]\nretrain = 3", "topics.retrain: a text, got 3"),
        ("[profiles.a.model]\nhidden = 3", "profiles.a.model.hidden: a list, got 3"),
        ("[profiles.a.model]\nl2 = -0.5", "profiles.a.model.l2: at least 0, got -0.5"),
        ("[profiles.a.training]\nholdout = 1.0", "less than 0.9, got 1.0"),
        (
            "[monitor]\nstart = 'earlyest'",
            "monitor.start: 'earliest' or 'latest', got 'earlyest' (did you mean 'earliest'?)",
        ),
        ("[monitor]\nstart = 'now'", "monitor.start: 'earliest' or 'latest', got 'now'"),
        (
            "[profiles.a.window]\nkind = 'count'\nlength = '7d'",
            "profiles.a.window.length: a known key, got '7d' (known: kind, records)",
        ),
        ("[profiles.a.window]\nkind = 'cycle'", "profiles.a.window.length: a value, got nothing"),
    ],
)
def test_a_rule_is_told_in_words_of_the_file(write: Write, text: str, told: str) -> None:
    found = list(_faults(write(text)).values())
    assert len(found) == 1
    assert told in found[0]
    assert found[0].endswith(told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "[topics]\nmodels = 'driftloop.retrain'",
            "topics.models: a topic of its own, other than that of topics.retrain, got",
        ),
        ("[topics]\ndlq = 'a b'", "topics.dlq: a topic's name"),
        ("[scorer]\noutput = 'streams.\\2'", "scorer.output: a name that may use the groups"),
        ("[scorer]\ntopics = '('", "scorer.topics: a regular expression"),
        (
            "[scorer]\nrecovery = './.driftloop/recovery'",
            "scorer.recovery: a folder of its own, other than monitor.recovery",
        ),
        ("[kafka]\nbootstrap_servers = ''", "kafka.bootstrap_servers: host:port"),
        ("[kafka]\nbootstrap_servers = 'kafka'", "kafka.bootstrap_servers: host:port"),
        ("[kafka]\nbootstrap_servers = 'a:1,b'", "got 'a:1,b'"),
        ("[profiles.a]\ntopics = ''", "profiles.a.topics: a regular expression that matches"),
        ("[profiles.a]\ntopics = '.+'", "leaves out Driftloop's own topics, as driftloop.retrain"),
        (
            "[profiles.a]\ntopics = 'x'\n[profiles.b]\ntopics = 'x'",
            "profiles.b.topics: a pattern of its own: profile 'a' takes all these topics, got 'x'",
        ),
        (
            "[trainer.budget.profiles]\nflihgts = 60",
            "trainer.budget.profiles.flihgts: the name of a profile (known: default), got 60",
        ),
        ("[kafka.properties]\nacks = '1'", "Driftloop sets this property itself"),
    ],
)
def test_what_sections_do_to_one_another_is_told_once(write: Write, text: str, told: str) -> None:
    found = list(_faults(write(text)).values())
    assert len(found) == 1
    assert told in found[0]


@pytest.mark.parametrize("servers", ["a:1", "a:1,b:2", "SASL_SSL://a.b:1, b:2", "[::1]:9092"])
def test_servers_are_a_host_and_a_port_each(write: Write, servers: str) -> None:
    write(f"[kafka]\nbootstrap_servers = '{servers}'")
    assert load_settings().kafka.bootstrap_servers == servers


def test_faults_of_keys_hide_no_fault_of_what_does_not_fit_together(write: Write) -> None:
    found = _faults(
        write(
            """
            [monitor]
            shards = 0
            recovery = ".driftloop/recovery-scorer"
            [topics]
            models = "driftloop.retrain"
            [profiles.a]
            task = "binary"
            silent_after = "soon"
            [profiles.a.policy]
            kind = "periodic"
            [profiles.b]
            topics = "x"
            [profiles.b.window]
            kind = "cycle"
            length = "36h"
            cycle = "1d"
            lateness = "some"
            """
        )
    )
    assert set(found) == {
        "monitor.shards",
        "scorer.recovery",
        "topics.models",
        "profiles.a.loss",
        "profiles.a.silent_after",
        "profiles.a.policy.every",
        "profiles.b.window.length",
        "profiles.b.window.lateness",
    }


def test_a_fault_is_not_told_again_by_what_rests_on_its_key(write: Write) -> None:
    found = _faults(
        write(
            """
            [topics]
            retrain = "driftloop.models"
            models = 3
            [scorer]
            topics = "("
            [profiles.a]
            task = "binry"
            loss = "log_loss"
            [profiles.a.policy]
            kind = "periodic"
            every = "often"
            [profiles.b]
            topics = "("
            """
        )
    )
    assert set(found) == {
        "topics.models",
        "scorer.topics",
        "profiles.a.task",
        "profiles.a.policy.every",
        "profiles.b.topics",
    }


def test_more_faults_are_told_with_all_others(write: Write) -> None:
    write("[monitor]\nshards = 0\n[kafka]\nbootstrap_servers = 'a:1'")

    def more(settings: Settings) -> list[Fault]:
        assert settings.monitor.shards == 64, "what is at fault has its default"
        return [Fault("kafka", settings.kafka.bootstrap_servers, "another one")]

    with pytest.raises(SettingsError, match=r"^2 faults in driftloop\.toml") as caught:
        load_settings(also=more)
    assert [fault.place for fault in caught.value.faults] == ["monitor.shards", "kafka"]
    with pytest.raises(SettingsError, match=r"^1 fault in driftloop\.toml"):
        load_settings()
