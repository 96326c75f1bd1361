{ imports = [ { _file = "/etc/passwd"; hyperhive.model = 5; } ]; }
