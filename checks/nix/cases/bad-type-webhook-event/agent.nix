{ hyperhive.webhooks.x = { kind = "github"; secret = "X"; events = [ "a b" ]; }; }
