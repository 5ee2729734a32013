"""Tables of the read model."""

from __future__ import annotations

VERSION = 3
"""Of these tables; a file of another version is built anew."""

DDL = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE positions (
    topic TEXT, partition INTEGER, next INTEGER NOT NULL, PRIMARY KEY (topic, partition)
) WITHOUT ROWID;

CREATE TABLE streams (
    stream TEXT PRIMARY KEY,
    profile TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL DEFAULT 'warming-up',
    model_version TEXT,
    event_time INTEGER,
    first_time INTEGER,
    told_at INTEGER,
    records INTEGER NOT NULL DEFAULT 0,
    losses INTEGER NOT NULL DEFAULT 0,
    windows INTEGER NOT NULL DEFAULT 0,
    alarms INTEGER NOT NULL DEFAULT 0,
    retrains INTEGER NOT NULL DEFAULT 0,
    loss REAL,
    corrected_loss REAL,
    reference_loss REAL,
    baseline_loss REAL,
    accumulated REAL,
    threshold REAL,
    dead_letters INTEGER NOT NULL DEFAULT 0,
    missing INTEGER NOT NULL DEFAULT 0,
    late INTEGER NOT NULL DEFAULT 0,
    pending INTEGER NOT NULL DEFAULT 0,
    evicted INTEGER NOT NULL DEFAULT 0,
    duplicates INTEGER NOT NULL DEFAULT 0,
    stale INTEGER NOT NULL DEFAULT 0,
    detail TEXT NOT NULL DEFAULT '',
    trial TEXT NOT NULL DEFAULT '',
    judged INTEGER NOT NULL DEFAULT 0,
    better INTEGER NOT NULL DEFAULT 0,
    worse INTEGER NOT NULL DEFAULT 0,
    rollbacks INTEGER NOT NULL DEFAULT 0,
    dismissed INTEGER NOT NULL DEFAULT 0,
    saved REAL NOT NULL DEFAULT 0,
    seconds REAL NOT NULL DEFAULT 0,
    last_outcome TEXT NOT NULL DEFAULT '',
    last_reason TEXT NOT NULL DEFAULT '',
    last_finished INTEGER,
    refused_in_row INTEGER NOT NULL DEFAULT 0,
    last_verdict TEXT NOT NULL DEFAULT '',
    judged_version TEXT,
    in_incident INTEGER NOT NULL DEFAULT 0,
    need INTEGER NOT NULL DEFAULT 0,
    need_why TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX streams_by_need ON streams (need DESC, stream);
CREATE INDEX streams_by_state ON streams (state);

CREATE TABLE windows (
    stream TEXT NOT NULL,
    closed_at INTEGER NOT NULL,
    id TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    records INTEGER NOT NULL,
    model_version TEXT,
    loss REAL, corrected_loss REAL, reference_loss REAL, baseline_loss REAL,
    accumulated REAL, threshold REAL,
    decision TEXT NOT NULL,
    rejected TEXT NOT NULL,
    criterion TEXT, p_value REAL, effect REAL,
    topic TEXT NOT NULL, partition INTEGER NOT NULL, place INTEGER NOT NULL,
    PRIMARY KEY (stream, closed_at, id)
) WITHOUT ROWID;
CREATE INDEX windows_by_id ON windows (id);

CREATE TABLE events (
    id TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    stream TEXT NOT NULL,
    profile TEXT NOT NULL,
    at INTEGER,
    told_at INTEGER NOT NULL,
    topic TEXT NOT NULL, partition INTEGER NOT NULL, place INTEGER NOT NULL,
    body BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX events_by_stream ON events (stream, at);
CREATE INDEX events_by_type ON events (type, told_at);
CREATE INDEX events_by_time ON events (told_at DESC);

CREATE TABLE requests (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL DEFAULT '',
    stream TEXT NOT NULL DEFAULT '',
    profile TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    policy TEXT NOT NULL DEFAULT '',
    criteria TEXT NOT NULL DEFAULT '',
    decided_at INTEGER,
    told_at INTEGER,
    from_version TEXT,
    priority REAL NOT NULL DEFAULT 0,
    candidate TEXT,
    outcome TEXT NOT NULL DEFAULT '',
    outcome_reason TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT '',
    version TEXT,
    champion_loss REAL, challenger_loss REAL,
    seconds REAL, records INTEGER, device TEXT,
    finished_at INTEGER,
    verdict TEXT NOT NULL DEFAULT '',
    saved REAL, low REAL, high REAL, level REAL,
    judged_records INTEGER, cost REAL, judged_at INTEGER,
    dismissed_by TEXT NOT NULL DEFAULT '', dismissed_why TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX requests_by_stream ON requests (stream, told_at DESC);
CREATE INDEX requests_by_time ON requests (told_at DESC);

CREATE TABLE versions (
    stream TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    version TEXT NOT NULL,
    action TEXT NOT NULL,
    kind TEXT NOT NULL,
    parent_version TEXT,
    uri TEXT NOT NULL, sha256 TEXT NOT NULL,
    request_id TEXT NOT NULL,
    published_at INTEGER NOT NULL,
    told_at INTEGER NOT NULL,
    champion_loss REAL, challenger_loss REAL,
    seconds REAL, records INTEGER, device TEXT,
    detail TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (stream, sequence)
) WITHOUT ROWID;

CREATE TABLE incidents (
    profile TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    closed_at INTEGER,
    id TEXT NOT NULL,
    moved INTEGER NOT NULL, observed INTEGER NOT NULL, share REAL NOT NULL,
    p_value REAL,
    streams TEXT NOT NULL,
    detail TEXT NOT NULL,
    told_at INTEGER NOT NULL,
    PRIMARY KEY (profile, opened_at)
) WITHOUT ROWID;

CREATE TABLE commands (
    id TEXT PRIMARY KEY,
    stream TEXT NOT NULL DEFAULT '',
    action TEXT NOT NULL DEFAULT '',
    who TEXT NOT NULL DEFAULT '',
    why TEXT NOT NULL DEFAULT '',
    via TEXT NOT NULL DEFAULT '',
    scope TEXT NOT NULL DEFAULT '',
    batch TEXT NOT NULL DEFAULT '',
    issued_at INTEGER,
    told_at INTEGER,
    until INTEGER,
    version TEXT,
    request_id TEXT,
    outcome TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT '',
    led_to TEXT NOT NULL DEFAULT '[]',
    answered_at INTEGER
) WITHOUT ROWID;
CREATE INDEX commands_by_time ON commands (told_at DESC);
CREATE INDEX commands_by_stream ON commands (stream, told_at DESC);

CREATE TABLE parts (
    part TEXT NOT NULL,
    instance TEXT NOT NULL,
    state TEXT NOT NULL,
    detail TEXT NOT NULL,
    version TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    reported_at INTEGER NOT NULL,
    every REAL NOT NULL,
    records REAL, records_per_second REAL, lag REAL, queue REAL,
    PRIMARY KEY (part, instance)
) WITHOUT ROWID;

CREATE TABLE dead_letters (
    partition INTEGER NOT NULL,
    place INTEGER NOT NULL,
    topic TEXT NOT NULL,
    source_partition INTEGER NOT NULL,
    source_offset INTEGER NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    size INTEGER NOT NULL,
    told_at INTEGER NOT NULL,
    replayed_at INTEGER,
    PRIMARY KEY (partition, place)
) WITHOUT ROWID;
CREATE INDEX dead_letters_by_time ON dead_letters (told_at DESC);
CREATE INDEX dead_letters_by_topic ON dead_letters (topic, told_at DESC);
"""
