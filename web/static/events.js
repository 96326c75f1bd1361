// Generated from pyglue/api/events.py and pyglue/api/turn_events.py by
// `make generate`: the kinds of events, and of what happens inside a turn.

export const EVENT = Object.freeze({
  AGENT_STATE: "agent.state",
  AGENT_CHANGED: "agent.changed",
  AGENT_SERVER: "agent.server",
  HOST_CONTACTED: "host.contacted",
  TURN_STARTED: "turn.started",
  TURN_EVENT: "turn.event",
  TURN_ENDED: "turn.ended",
  MESSAGE_SENT: "message.sent",
  MESSAGE_TAKEN: "message.taken",
  MESSAGE_MARKED: "message.marked",
  MESSAGE_DELIVERED: "message.delivered",
  APPROVAL_CREATED: "approval.created",
  APPROVAL_CHANGED: "approval.changed",
  APPROVAL_BUILD: "approval.build",
  OPERATION_CHANGED: "operation.changed",
  QUESTION_ASKED: "question.asked",
  QUESTION_ANSWERED: "question.answered",
  NOTICE: "notice",
  NOTIFICATION_CHANGED: "notification.changed",
  HIVE_WARNING: "hive.warning",
});

export const IN_TURN = Object.freeze({
  TEXT: "text",
  THINKING: "thinking",
  TOOL_USE: "tool_use",
  TOOL_RESULT: "tool_result",
  DENIED: "denied",
  RETRY: "retry",
  COMPACTED: "compacted",
  SERVER: "server",
  RESULT: "result",
  LOG: "log",
});
