{ hyperhive.webhooks.x = { kind = "github"; secret = "my token"; }; }
