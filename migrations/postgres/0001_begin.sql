-- The tables. What each column may be believed for is said in docs/columns.md.
CREATE TABLE world (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    cluster BYTEA NOT NULL,
    seq BIGINT NOT NULL,
    mark BYTEA NOT NULL,
    prev BYTEA NOT NULL,
    nonce BYTEA NOT NULL,
    schema BIGINT NOT NULL
);

CREATE TABLE note (
    seq BIGINT PRIMARY KEY,
    mark BYTEA NOT NULL,
    nonce BYTEA NOT NULL,
    refs BYTEA NOT NULL
);

CREATE TABLE document (
    kind BIGINT NOT NULL,
    id BYTEA NOT NULL,
    space BYTEA NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    grave BYTEA NOT NULL,
    due BIGINT,
    sealed BYTEA NOT NULL,
    PRIMARY KEY (kind, id),
    UNIQUE (kind, space, name, grave)
);
CREATE INDEX document_due ON document (kind, due) WHERE due IS NOT NULL;

CREATE TABLE version (
    id BYTEA PRIMARY KEY,
    environment BYTEA NOT NULL,
    secret BYTEA NOT NULL,
    term BIGINT NOT NULL,
    wrapped BYTEA NOT NULL,
    sealed BYTEA NOT NULL
);
CREATE INDEX version_term ON version (environment, term, id);

CREATE TABLE wrapped_key (
    kind BIGINT NOT NULL,
    environment BYTEA NOT NULL,
    term BIGINT NOT NULL,
    wrapped BYTEA NOT NULL,
    PRIMARY KEY (kind, environment, term)
);

-- Room for each row's next versions in its own page: heads move with every batch.
CREATE TABLE stream (
    id BYTEA PRIMARY KEY,
    owner BYTEA NOT NULL,
    epoch BIGINT NOT NULL,
    beat BIGINT NOT NULL,
    size BIGINT NOT NULL,
    frontier BYTEA NOT NULL,
    head TEXT NOT NULL
) WITH (fillfactor = 10);

CREATE TABLE segment (
    stream BYTEA NOT NULL,
    first BIGINT NOT NULL,
    count BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    summary BYTEA NOT NULL,
    sealed BYTEA NOT NULL,
    PRIMARY KEY (stream, first)
);
