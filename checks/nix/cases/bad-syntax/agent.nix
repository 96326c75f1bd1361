{ hyperhive.model = "opus" }
