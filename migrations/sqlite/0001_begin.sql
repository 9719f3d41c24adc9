-- The tables. What each column may be believed for is said in docs/columns.md.
-- All are by row id: of a table WITHOUT ROWID, SQLite reads whole rows, values and records too, to compare their keys.
CREATE TABLE world (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    cluster BLOB NOT NULL,
    seq BIGINT NOT NULL,
    mark BLOB NOT NULL,
    prev BLOB NOT NULL,
    nonce BLOB NOT NULL,
    schema BIGINT NOT NULL
);

CREATE TABLE note (
    seq INTEGER PRIMARY KEY,
    mark BLOB NOT NULL,
    nonce BLOB NOT NULL,
    refs BLOB NOT NULL
);

CREATE TABLE document (
    kind BIGINT NOT NULL,
    id BLOB NOT NULL,
    space BLOB NOT NULL,
    name TEXT NOT NULL,
    grave BLOB NOT NULL,
    due BIGINT,
    sealed BLOB NOT NULL,
    PRIMARY KEY (kind, id),
    UNIQUE (kind, space, name, grave)
);
CREATE INDEX document_due ON document (kind, due) WHERE due IS NOT NULL;

CREATE TABLE version (
    id BLOB PRIMARY KEY,
    environment BLOB NOT NULL,
    secret BLOB NOT NULL,
    term BIGINT NOT NULL,
    wrapped BLOB NOT NULL,
    sealed BLOB NOT NULL
);
CREATE INDEX version_term ON version (environment, term, id);

CREATE TABLE wrapped_key (
    kind BIGINT NOT NULL,
    environment BLOB NOT NULL,
    term BIGINT NOT NULL,
    wrapped BLOB NOT NULL,
    PRIMARY KEY (kind, environment, term)
);

CREATE TABLE stream (
    id BLOB PRIMARY KEY,
    owner BLOB NOT NULL,
    epoch BIGINT NOT NULL,
    beat BIGINT NOT NULL,
    size BIGINT NOT NULL,
    frontier BLOB NOT NULL,
    head TEXT NOT NULL
);

CREATE TABLE segment (
    stream BLOB NOT NULL,
    first BIGINT NOT NULL,
    count BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    summary BLOB NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (stream, first)
);
