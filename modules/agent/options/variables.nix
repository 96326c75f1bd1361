# The type of environment variables, of the agent and of an MCP server.
{ t }:
t.named {
  what = "variable names";
  pattern = "[A-Za-z_][A-Za-z0-9_]*";
  max = 100;
  each = t.text {
    what = "string";
    max = 32768;
  };
}
