{ options, ... }: { hyperhive.model = options.hyperhive.default; }
