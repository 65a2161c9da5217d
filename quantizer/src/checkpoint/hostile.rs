//! Functions that only a file which was made to run something names.

use super::unpickle::Pickle;

/// Modules and functions whose use a checkpoint of weights has none: those that run, load, fetch or open
/// something, and those by which others are got at.
const HOSTILE: [&str; 76] = [
    "os",
    "posix",
    "nt",
    "subprocess",
    "_posixsubprocess",
    "_winapi",
    "sys",
    "shutil",
    "socket",
    "_socket",
    "ssl",
    "pty",
    "runpy",
    "importlib",
    "_frozen_importlib",
    "pkgutil",
    "imp",
    "webbrowser",
    "ctypes",
    "_ctypes",
    "multiprocessing",
    "concurrent",
    "threading",
    "_thread",
    "asyncio",
    "urllib",
    "urllib2",
    "http",
    "httplib",
    "requests",
    "aiohttp",
    "ftplib",
    "smtplib",
    "telnetlib",
    "pip",
    "ensurepip",
    "venv",
    "setuptools",
    "distutils",
    "code",
    "codeop",
    "bdb",
    "pdb",
    "trace",
    "timeit",
    "cProfile",
    "profile",
    "doctest",
    "pydoc",
    "idlelib",
    "lib2to3",
    "commands",
    "pickle",
    "_pickle",
    "cloudpickle",
    "dill",
    "joblib",
    "marshal",
    "shelve",
    "operator",
    "_operator",
    "functools",
    "types.CodeType",
    "types.FunctionType",
    "logging.config",
    "tempfile",
    "uuid._get_command_stdout",
    "numpy.load",
    "numpy.f2py",
    "numpy.testing",
    "torch.load",
    "torch.hub",
    "torch.jit",
    "torch.serialization.load",
    "torch.utils.cpp_extension",
    "torch._inductor",
];

/// Of Python's built-in functions, those that run or open something, or get at others.
const HOSTILE_BUILTINS: [&str; 15] = [
    "exec",
    "eval",
    "execfile",
    "compile",
    "open",
    "file",
    "input",
    "__import__",
    "breakpoint",
    "getattr",
    "setattr",
    "delattr",
    "globals",
    "vars",
    "apply",
];

/// Modules that others import, so that they can be got at as if they were a part of these
/// (`torch.serialization.os.system`).
const REACHED: [&str; 7] = ["os", "sys", "subprocess", "posix", "builtins", "__builtins__", "__globals__"];

/// The exception: a partial call is only written down, and trainers save them with their settings. The
/// function in it is named by itself.
const HARMLESS: &str = "functools.partial";

/// The first function named in `pickle` that only a file made to run something on loading has a use for.
pub fn find(pickle: &Pickle) -> Option<&str> {
    pickle.globals().find(|name| is_hostile(name))
}

fn is_hostile(name: &str) -> bool {
    if name == HARMLESS {
        return false;
    }
    let is_in = |module: &&str| {
        name.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let built_in = ["builtins.", "__builtin__."].iter().find_map(|start| name.strip_prefix(start));
    HOSTILE.iter().any(is_in)
        // An attribute of a built-in function is no class that a file of weights names.
        || built_in.is_some_and(|name| HOSTILE_BUILTINS.contains(&name) || name.contains('.'))
        || name.split('.').skip(1).any(|part| REACHED.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_would_run_is_found_wherever_it_is() {
        let names = [
            ("os\nsystem", "os.system"),
            ("posix\nsystem", "posix.system"),
            ("builtins\neval", "builtins.eval"),
            ("builtins\ngetattr", "builtins.getattr"),
            ("builtins\nprint.__self__.eval", "builtins.print.__self__.eval"),
            ("__builtin__\n__import__", "__builtin__.__import__"),
            ("subprocess\nPopen", "subprocess.Popen"),
            ("_posixsubprocess\nfork_exec", "_posixsubprocess.fork_exec"),
            ("pickle\nloads", "pickle.loads"),
            ("timeit\ntimeit", "timeit.timeit"),
            ("cProfile\nrun", "cProfile.run"),
            ("functools\nreduce", "functools.reduce"),
            (
                "asyncio.unix_events\n_UnixSubprocessTransport._start",
                "asyncio.unix_events._UnixSubprocessTransport._start",
            ),
            ("torch.hub\nload", "torch.hub.load"),
            ("torch.serialization\nos.system", "torch.serialization.os.system"),
        ];
        for (global, expected) in names {
            let bytes = [b"}X\x01\0\0\0a}X\x01\0\0\0xc", global.as_bytes(), b"\n)Rss."].concat();
            assert_eq!(find(&Pickle::read(&bytes).unwrap()), Some(expected));
        }
        let harmless = b"(cargparse\nNamespace\ncomegaconf.dictconfig\nDictConfig\nc__builtin__\nset\n\
            cfunctools\npartial\nctorch._utils\n_rebuild_tensor_v2\nccode_models.esm\nNet\nctorch.optim.adamw\nAdamW\nt.";
        assert_eq!(find(&Pickle::read(harmless).unwrap()), None);
    }
}
