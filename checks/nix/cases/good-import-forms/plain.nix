{ hyperhive.model = "sonnet"; }
