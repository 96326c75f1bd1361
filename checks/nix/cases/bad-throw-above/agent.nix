{ ... }: throw "no agent"
