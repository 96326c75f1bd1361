{ ... }:
{
  hyperhive.bash.allow = [
    "Bash(git diff:*)"
    "Bash(npm run test:*)"
    "Bash(git status)"
    "Bash(git log *)"
    "git diff:*"
    "make:*"
    "git show *"
    "ls :*"
    "npm run lint:** x"
  ];
}
