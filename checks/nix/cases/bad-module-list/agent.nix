[ { hyperhive.model = "opus"; } ]
