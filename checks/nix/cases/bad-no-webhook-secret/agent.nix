{ hyperhive.webhooks.x.kind = "github"; }
