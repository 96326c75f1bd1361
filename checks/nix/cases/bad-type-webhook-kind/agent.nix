{ hyperhive.webhooks.x = { kind = "bitbucket"; secret = "X"; }; }
