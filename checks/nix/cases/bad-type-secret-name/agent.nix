{ hyperhive.secrets.github_token = { }; }
