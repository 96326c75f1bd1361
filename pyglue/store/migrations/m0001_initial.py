"""The first schema."""

from typing import Final

STATEMENTS: Final = (
    """
    CREATE TABLE agent (
        name TEXT PRIMARY KEY,
        role TEXT NOT NULL,
        wanted INTEGER NOT NULL,
        created_at REAL NOT NULL,
        approval INTEGER,
        "commit" TEXT,
        record BLOB,
        problem TEXT
    ) STRICT
    """,
    """
    CREATE TABLE message (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        sender TEXT NOT NULL,
        recipient TEXT NOT NULL,
        body TEXT NOT NULL,
        kind TEXT NOT NULL,
        priority INTEGER NOT NULL,
        sent_at REAL NOT NULL,
        reply_to INTEGER,
        hop INTEGER NOT NULL,
        state TEXT NOT NULL,
        deliveries INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0,
        holder TEXT,
        turn INTEGER,
        done_at REAL
    ) STRICT
    """,
    (
        "CREATE INDEX message_waiting ON message (recipient, priority, id) "
        "WHERE state = 'waiting'"
    ),
    "CREATE INDEX message_held ON message (recipient, holder) WHERE state = 'held'",
    "CREATE INDEX message_by_recipient ON message (recipient, id)",
    "CREATE INDEX message_by_sender ON message (sender, id)",
    """
    CREATE TABLE turn (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        agent TEXT NOT NULL,
        model TEXT NOT NULL,
        started_at REAL NOT NULL,
        ended_at REAL,
        outcome TEXT,
        reason TEXT,
        duration_ms INTEGER NOT NULL DEFAULT 0,
        steps INTEGER NOT NULL DEFAULT 0,
        tool_calls INTEGER NOT NULL DEFAULT 0,
        denials INTEGER NOT NULL DEFAULT 0,
        input_tokens INTEGER NOT NULL DEFAULT 0,
        output_tokens INTEGER NOT NULL DEFAULT 0,
        cost_usd REAL NOT NULL DEFAULT 0
    ) STRICT
    """,
    "CREATE INDEX turn_by_agent ON turn (agent, id)",
    """
    CREATE TABLE question (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        asker TEXT NOT NULL,
        recipient TEXT NOT NULL,
        question TEXT NOT NULL,
        options BLOB NOT NULL,
        multi INTEGER NOT NULL,
        asked_at REAL NOT NULL,
        expires_at REAL,
        answered_at REAL,
        answer TEXT
    ) STRICT
    """,
    "CREATE INDEX question_open ON question (recipient) WHERE answered_at IS NULL",
    """
    CREATE TABLE approval (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        agent TEXT NOT NULL,
        kind TEXT NOT NULL,
        state TEXT NOT NULL,
        "commit" TEXT NOT NULL,
        main TEXT,
        record BLOB NOT NULL,
        manifest_sha256 TEXT NOT NULL,
        nixos_options BLOB NOT NULL,
        policy BLOB NOT NULL,
        description TEXT NOT NULL,
        proposed_by TEXT NOT NULL,
        author TEXT NOT NULL,
        message TEXT NOT NULL,
        created_at REAL NOT NULL,
        decided_at REAL,
        decided_by TEXT,
        reason TEXT,
        operation INTEGER
    ) STRICT
    """,
    (
        "CREATE UNIQUE INDEX approval_one_pending ON approval (agent) "
        "WHERE state = 'pending'"
    ),
    "CREATE INDEX approval_by_agent ON approval (agent, id)",
    """
    CREATE TABLE operation (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        agent TEXT NOT NULL,
        state TEXT NOT NULL,
        step TEXT NOT NULL,
        approval INTEGER,
        error TEXT,
        requested_by TEXT NOT NULL,
        created_at REAL NOT NULL,
        finished_at REAL
    ) STRICT
    """,
    (
        "CREATE INDEX operation_open ON operation (id) "
        "WHERE state IN ('queued', 'running')"
    ),
    """
    CREATE TABLE event (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        at REAL NOT NULL,
        kind TEXT NOT NULL,
        agent TEXT,
        data BLOB NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE login (
        hash TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        created_at REAL NOT NULL,
        expires_at REAL NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE usage (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        agent TEXT NOT NULL,
        turn INTEGER,
        model TEXT NOT NULL,
        at REAL NOT NULL,
        settled INTEGER NOT NULL,
        status INTEGER,
        cost_usd REAL NOT NULL,
        input_tokens INTEGER NOT NULL DEFAULT 0,
        output_tokens INTEGER NOT NULL DEFAULT 0,
        cache_read_tokens INTEGER NOT NULL DEFAULT 0,
        cache_write_tokens INTEGER NOT NULL DEFAULT 0
    ) STRICT
    """,
    "CREATE INDEX usage_by_agent ON usage (agent, at)",
)
