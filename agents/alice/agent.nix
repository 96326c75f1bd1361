# An example worker: small, cheap, and only allowed to write to two others.
{ ... }:
{
  hyperhive = {
    description = "Example worker that answers questions";
    model = "haiku";
    prompt = ''
      You are alice. Answer what you are asked in one or two sentences. When a
      question is not clear, ask back once.
    '';
    allowedRecipients = [
      "operator"
      "manager"
    ];
    limits = {
      turnsPerHour = 120;
      costPerDayUsd = 2;
    };
  };
}
