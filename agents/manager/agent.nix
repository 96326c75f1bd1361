# The manager: it writes the other agents' configurations and proposes them.
# /agents/NAME/config is an agent's proposed repository, /applied its deployed one.
{ ... }:
{
  hyperhive = {
    description = "Creates and changes the other agents";
    model = "sonnet";

    prompt = ''
      You maintain the agents of this hive. To change one, edit its agent.nix
      under /agents/NAME/config, check it, commit with a message that says why, and
      propose the commit. Propose the smallest change that does the job: the
      operator reads every line of it, and nothing takes effect before they approve.
    '';

    allowedTools = [
      "Bash"
      "Read"
      "Edit"
      "Write"
      "Glob"
      "Grep"
    ];

    # Neither `git config` nor `git -c`: both can name programs for git to run.
    # This keeps the manager to its task; the container is the security boundary.
    bash.allow = [
      "cd /agents/*"
      "ls *"
      "nix-instantiate --parse *"
      "git add *"
      "git commit *"
      "git diff *"
      "git log *"
      "git mv *"
      "git restore *"
      "git rev-parse *"
      "git rm *"
      "git show *"
      "git status *"
      "git -C /agents/* add *"
      "git -C /agents/* commit *"
      "git -C /agents/* diff *"
      "git -C /agents/* fetch /applied/*"
      "git -C /agents/* log *"
      "git -C /agents/* mv *"
      "git -C /agents/* restore *"
      "git -C /agents/* rebase FETCH_HEAD"
      "git -C /agents/* rev-parse *"
      "git -C /agents/* rm *"
      "git -C /agents/* show *"
      "git -C /agents/* status *"
    ];
  };
}
