"""Names of environment variables that give power over programs, and which.

Used by the policy diff: every variable that is set, changed or removed widens, and for
these the operator is told what the name does. A name that is not listed may still
matter to some program; there the list is for words, not for what counts. The operator's
limit on MCP commands refuses those that decide what code a program runs.
"""

from fnmatch import fnmatchcase
from typing import Final

_EVERY: Final = "it can change the behaviour of every program"
_SHELL: Final = "it can change the behaviour of every shell command"
_RUN: Final = "it can name a program that other programs run"
_LANGUAGE: Final = "it can make every program in that language run other code"
_MODEL: Final = "it changes how the agent reaches its model, or how the CLI behaves"
_TRAFFIC: Final = "it can send network traffic elsewhere"
_TRUST: Final = "it changes which servers are trusted"
_FILES: Final = "it changes where programs look for their configuration"

_MEANINGS: Final = (
    (("PATH", "LD_*", "DYLD_*", "GCONV_PATH", "GLIBC_TUNABLES", "MALLOC_*"), _EVERY),
    (("OPENSSL_*", "KRB5_*", "QT_*", "GTK_*", "GIO_*", "GST_*", "*_PRELOAD"), _EVERY),
    (("LOCPATH", "NLSPATH", "TERMINFO*", "GETCONF_DIR", "LOCALDOMAIN"), _EVERY),
    (("BASH_ENV", "ENV", "SHELLOPTS", "BASHOPTS", "BASH_*", "IFS", "CDPATH"), _SHELL),
    (("PROMPT_COMMAND", "PS[0-4]", "GLOBIGNORE", "ZDOTDIR", "FPATH"), _SHELL),
    (("GIT_*", "SSH_*", "SHELL", "EDITOR", "VISUAL", "PAGER", "*_PAGER"), _RUN),
    (("*_EDITOR", "*_ASKPASS", "BROWSER", "LESSOPEN", "LESSCLOSE"), _RUN),
    (("CC", "CXX", "MAKEFLAGS", "MAKEFILES", "RSYNC_RSH", "NIX_*"), _RUN),
    (("NODE_TLS_*", "NODE_EXTRA_CA_CERTS", "SSL_*", "*_CA_BUNDLE"), _TRUST),
    (("NODE_*", "NPM_*", "npm_*", "BUN_*", "DENO_*"), _LANGUAGE),
    (("PYTHON*", "PIP_*", "UV_*", "VIRTUAL_ENV", "PERL*", "RUBY*"), _LANGUAGE),
    (("GEM_*", "LUA_*", "PHP*", "JAVA_*", "JDK_*", "_JAVA_*"), _LANGUAGE),
    (("CLASSPATH", "RUST*", "CARGO*", "GO*", "DOTNET_*", "CORECLR_*"), _LANGUAGE),
    (("MONO_*", "ERL_*", "ELIXIR_*", "JULIA_*", "GUILE_*", "TCL*", "AWK*"), _LANGUAGE),
    (("R_*", "TS_NODE_*", "ELECTRON_*", "YARN_*", "PNPM_*", "COREPACK_*"), _LANGUAGE),
    (("BUNDLE_*", "COMPOSER_*", "POETRY_*", "CONDA_*"), _LANGUAGE),
    (("ANTHROPIC_*", "CLAUDE*", "MCP_*", "DISABLE_*", "HIVE_*"), _MODEL),
    (("*_PROXY", "*_proxy", "HOSTALIASES", "RES_OPTIONS", "*_BASE_URL"), _TRAFFIC),
    (("GCC_EXEC_PREFIX", "COMPILER_PATH", "LIBRARY_PATH", "LIBGL_*", "VK_*"), _EVERY),
    (("*_COMMAND", "*_CMD", "*_EXECUTABLE", "*_EXECUTABLE_PATH", "*_RSH"), _RUN),
    (("MANPAGER", "HGEDITOR", "SVN_SSH", "JAVACMD", "COMSPEC", "CHROME_PATH"), _RUN),
    (("KUBECONFIG", "DOCKER_*", "TAR_OPTIONS", "PKG_CONFIG*", "CMAKE_*", "LESS"), _RUN),
    (("GRADLE_*", "MAVEN_*", "M2_HOME", "ANT_*", "SBT_*", "LEIN_*", "GHC*"), _LANGUAGE),
    (("OCAML*", "CAML*", "TF_CLI_*", "ANSIBLE_*", "JUPYTER_*", "IPYTHON*"), _LANGUAGE),
    (("VIM*", "EXINIT", "NVIM_*", "EMACS*", "TEXMF*", "TEXINPUTS"), _LANGUAGE),
    (("*_CONFIG_FILE", "*_CONFIG_PATH", "*_CONFIG_DIR", "*CONFIGDIR"), _FILES),
    (("PSQLRC", "PGSERVICEFILE", "PGSYSCONFDIR", "MYSQL_HOME", "WGETRC"), _FILES),
    (("HGRCPATH", "INPUTRC", "LESSKEY", "NETRC", "ODBC*", "GNUPGHOME"), _FILES),
    (("AWS_SHARED_CREDENTIALS_FILE", "PLAYWRIGHT_BROWSERS_PATH", "ALSA_*"), _FILES),
    (("HOME", "XDG_*", "TMPDIR", "TMP", "TEMP", "CURL_HOME"), _FILES),
)

_REDIRECTING: Final = frozenset({_EVERY, _SHELL, _RUN, _LANGUAGE, _MODEL, _FILES})


def redirects(name: str) -> bool:
    """Return whether a variable of this name can make a program run other code."""
    return power(name) in _REDIRECTING


def power(name: str) -> str | None:
    """Return what a variable of this name can do, or None if nothing is known."""
    for patterns, meaning in _MEANINGS:
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            return meaning
    return None
