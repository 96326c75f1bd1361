"""The tables as peewee models; the modules beside this one query them.

Models are not bound to a database: every query names one (``execute(tx.db)`` on the
writer's thread, ``execute(reader.db)`` on the reader's). The schema is in
``migrations``.
"""

from peewee import (
    AutoField,
    BlobField,
    BooleanField,
    FloatField,
    IntegerField,
    Model,
    TextField,
)


class AgentModel(Model):
    """An agent and its deployment."""

    name = TextField(primary_key=True)
    role = TextField()
    wanted = BooleanField()
    created_at = FloatField()
    approval = IntegerField(null=True)
    commit = TextField(null=True)
    record = BlobField(null=True)
    problem = TextField(null=True)

    class Meta:
        table_name = "agent"


class TurnModel(Model):
    """One run of the CLI, with the numbers that the harness reported."""

    id = AutoField()
    agent = TextField()
    model = TextField()
    started_at = FloatField()
    ended_at = FloatField(null=True)
    outcome = TextField(null=True)
    reason = TextField(null=True)
    duration_ms = IntegerField()
    steps = IntegerField()
    tool_calls = IntegerField()
    denials = IntegerField()
    input_tokens = IntegerField()
    output_tokens = IntegerField()
    cost_usd = FloatField()

    class Meta:
        table_name = "turn"


class QuestionModel(Model):
    """A question to the operator or a peer."""

    id = AutoField()
    asker = TextField()
    recipient = TextField()
    question = TextField()
    options = BlobField()
    multi = BooleanField()
    asked_at = FloatField()
    expires_at = FloatField(null=True)
    answered_at = FloatField(null=True)
    answer = TextField(null=True)
    ended = TextField(null=True)

    class Meta:
        table_name = "question"


class ApprovalModel(Model):
    """The queue entry of a proposal, whose content is in git."""

    id = AutoField()
    agent = TextField()
    kind = TextField()
    state = TextField()
    commit = TextField()
    main = TextField(null=True)
    record = BlobField()
    manifest_sha256 = TextField()
    nixos_options = BlobField()
    policy = BlobField()
    description = TextField()
    proposed_by = TextField()
    author = TextField()
    message = TextField()
    created_at = FloatField()
    decided_at = FloatField(null=True)
    decided_by = TextField(null=True)
    reason = TextField(null=True)
    operation = IntegerField(null=True)
    comments = BlobField(null=True)

    class Meta:
        table_name = "approval"


class SystemModel(Model):
    """The NixOS system of an approval."""

    approval = IntegerField(primary_key=True)
    drv = TextField()
    nixpkgs = TextField()
    revision = TextField()
    packages = BlobField()
    toplevel = TextField(null=True)
    build_log = TextField()
    closure = BlobField(null=True)

    class Meta:
        table_name = "approval_system"


class OperationModel(Model):
    """An operation and its current step."""

    id = AutoField()
    kind = TextField()
    agent = TextField()
    state = TextField()
    step = TextField()
    approval = IntegerField(null=True)
    error = TextField(null=True)
    requested_by = TextField()
    created_at = FloatField()
    finished_at = FloatField(null=True)
    arguments = TextField(default="{}")

    class Meta:
        table_name = "operation"


class LoginModel(Model):
    """A one-time code or a session, by the hash of its secret."""

    hash = TextField(primary_key=True)
    kind = TextField()
    created_at = FloatField()
    expires_at = FloatField()

    class Meta:
        table_name = "login"


class UsageModel(Model):
    """One request to the model: reserved, then settled."""

    id = AutoField()
    agent = TextField()
    turn = IntegerField(null=True)
    model = TextField()
    at = FloatField()
    settled = BooleanField()
    status = IntegerField(null=True)
    cost_usd = FloatField()
    input_tokens = IntegerField(default=0)
    output_tokens = IntegerField(default=0)
    cache_read_tokens = IntegerField(default=0)
    cache_write_tokens = IntegerField(default=0)
    account = TextField(null=True)

    class Meta:
        table_name = "usage"
