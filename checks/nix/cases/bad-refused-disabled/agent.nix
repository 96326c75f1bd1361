{ disabledModules = [ { key = ":anon-1"; } ]; }
