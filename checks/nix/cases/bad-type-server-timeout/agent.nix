{ ... }:
{
  hyperhive = {
    mcpServers.notes = {
      command = "x";
      toolTimeout = 0;
    };
  };
}
