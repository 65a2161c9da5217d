//! `quantizer` with a name, as a user runs it.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::fixture::golden;
use crate::server::{Behaviour, Server};
use crate::{User, serving};

/// `quantizer reference`, in the user's home, with nothing in the environment but what says where the hub
/// is.
fn reference(user: &User, server: &Server, checkpoint: &str, out: &str) -> Command {
    let fasta = user.home().join("in.fasta");
    fs::write(&fasta, ">a\nMKTAYIA\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_quantizer"));
    command.arg("reference").arg(checkpoint).arg("--fasta").arg(fasta).arg("-o").arg(out);
    command.current_dir(user.home()).env_clear().env("HOME", user.home());
    command.env("HF_ENDPOINT", &server.endpoint).env("HF_HUB_CACHE", &user.settings.cache);
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn require_success(output: &Output) {
    assert!(output.status.success(), "{}", stderr(output));
}

#[test]
fn a_name_is_downloaded_and_then_found() {
    let server = serving(Behaviour::default());
    let user = User::of(&server);
    let output = reference(&user, &server, "lab/tiny", "first").output().unwrap();
    require_success(&output);
    assert!(stderr(&output).contains("lab/tiny: ") && stderr(&output).contains("snapshots/c731040"));
    let output = reference(&user, &server, "lab/tiny", "second").env("HF_HUB_OFFLINE", "1").output().unwrap();
    require_success(&output);
    let written = |folder: &str| fs::read(user.home().join(folder).join("a.safetensors")).unwrap();
    assert_eq!(written("first"), written("second"));
    let output =
        reference(&user, &server, "lab/other", "third").env("TRANSFORMERS_OFFLINE", "yes").output().unwrap();
    let error = stderr(&output);
    assert!(!output.status.success());
    assert!(error.contains("lab/other: no such path here, so taken for a name at the hub"), "{error}");
    assert!(error.contains("TRANSFORMERS_OFFLINE forbids the network"), "{error}");
}

#[test]
fn a_path_that_is_there_wins() {
    let server = serving(Behaviour::default());
    let user = User::of(&server);
    let folder = user.home().join("lab/tiny");
    fs::create_dir_all(&folder).unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(golden("esm2-head16").join(file), folder.join(file)).unwrap();
    }
    require_success(&reference(&user, &server, "lab/tiny", "out").output().unwrap());
    // What can only be a path is not asked for.
    for path in ["lab/none.pt", "./lab/none", "none"] {
        let output = reference(&user, &server, path, "out").output().unwrap();
        assert!(!output.status.success() && !stderr(&output).contains("hub"), "{}", stderr(&output));
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn two_at_once_download_once() {
    let server = serving(Behaviour::default());
    let user = User::of(&server);
    let start = |out: &str| -> Child {
        reference(&user, &server, "lab/tiny", out)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let running = [start("first"), start("second"), start("third")];
    for child in running {
        require_success(&child.wait_with_output().unwrap());
    }
    assert_eq!(server.downloads().len(), 1);
    assert!(user.list().iter().all(|path| !path.contains("incomplete")), "{:?}", user.list());
}

#[test]
fn an_adapter_is_merged_into_what_it_was_trained_on() {
    let lora = golden("esm2-lora");
    let base = |name: &str| fs::read(lora.join("base").join(name)).unwrap();
    let server = Server::start(
        [("config.json", base("config.json")), ("model.safetensors", base("model.safetensors"))],
        Behaviour::default(),
    );
    let user = User::of(&server);
    let adapter = user.home().join("adapter");
    fs::create_dir(&adapter).unwrap();
    fs::copy(lora.join("all-linear/adapter_model.safetensors"), adapter.join("adapter_model.safetensors"))
        .unwrap();
    let config = fs::read_to_string(lora.join("all-linear/adapter_config.json")).unwrap();
    let trained_on = |base: &str, revision: &str| {
        let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
        config["base_model_name_or_path"] = base.into();
        config["revision"] = revision.into();
        fs::write(adapter.join("adapter_config.json"), config.to_string()).unwrap();
    };
    trained_on("lab/tiny", "refs/pr/1");
    let output = reference(&user, &server, "adapter", "named").output().unwrap();
    require_success(&output);
    assert!(stderr(&output).contains("it is merged into lab/tiny@refs/pr/1"), "{}", stderr(&output));
    let mut given = reference(&user, &server, "adapter", "given");
    require_success(&given.arg("--base").arg(lora.join("base")).output().unwrap());
    let written = |folder: &str| {
        let bytes = fs::read(user.home().join(folder).join("a.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        file.tensor("a.logits").unwrap().data().to_vec()
    };
    assert_eq!(written("named"), written("given"));
    // A path that a stranger's file names is followed by nobody.
    trained_on(lora.join("base").to_str().unwrap(), "");
    let output = reference(&user, &server, "adapter", "path").output().unwrap();
    assert!(!output.status.success() && stderr(&output).contains("with --base DIR"), "{}", stderr(&output));
    assert!(!Path::new("path").exists());
}

#[test]
fn a_proxy_of_the_environment_is_used() {
    let server = serving(Behaviour::default());
    let user = User::of(&server);
    // Nobody listens where the proxy would be.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxied = |no_proxy: &str| {
        let mut command = reference(&user, &server, "lab/tiny", "out");
        command.env("HTTP_PROXY", format!("http://{free}")).env("NO_PROXY", no_proxy).output().unwrap()
    };
    let output = proxied("");
    assert!(!output.status.success() && stderr(&output).contains("can't be reached"), "{}", stderr(&output));
    assert_eq!(server.requests().len(), 0);
    require_success(&proxied("127.0.0.1"));
}

/// The model files of the user.
fn models(user: &User) -> Vec<String> {
    let entries = fs::read_dir(user.home().join("data/foldpoint/models")).into_iter().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn without_a_file_the_model_goes_to_the_users_models() {
    let server = serving(Behaviour::default());
    let user = User::of(&server);
    let fasta = user.home().join("in.fasta");
    fs::write(&fasta, ">a\nMKTAYIAKQRQISFVKSH\n>b\nMKVLAWGDE\n").unwrap();
    let quantize = |checkpoint: &Path| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quantizer"));
        command.arg(checkpoint).arg("--calibration").arg(&fasta);
        command.current_dir(user.home()).env_clear().env("HOME", user.home());
        command
            .env("XDG_DATA_HOME", user.home().join("data"))
            .env("FOLDPOINT_MODELS", user.home().join("data/foldpoint/models"));
        command.env("HF_ENDPOINT", &server.endpoint).env("HF_HUB_CACHE", &user.settings.cache);
        command.output().unwrap()
    };
    // What is wrong without the checkpoint is said before it is downloaded.
    fs::rename(&fasta, user.home().join("away")).unwrap();
    let without = quantize(Path::new("lab/tiny"));
    assert!(!without.status.success() && stderr(&without).contains("in.fasta"), "{}", stderr(&without));
    assert_eq!((server.requests().len(), models(&user).len()), (0, 0));
    fs::rename(user.home().join("away"), &fasta).unwrap();
    let first = quantize(Path::new("lab/tiny"));
    require_success(&first);
    assert_eq!(models(&user), ["tiny.fpm"]);
    assert!(
        stderr(&first).contains("--model tiny") && !stderr(&first).contains("replaced"),
        "{}",
        stderr(&first)
    );
    // Another model of that name.
    let other = user.home().join("tiny");
    fs::create_dir(&other).unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(golden("esm2-head16").join(file), other.join(file)).unwrap();
    }
    let second = quantize(&other);
    require_success(&second);
    assert_eq!(models(&user), ["tiny.fpm"]);
    let note = "tiny.fpm is there already, made of lab/tiny@c731040; it will be replaced";
    assert!(stderr(&second).contains(note), "{}", stderr(&second));
    assert!(stderr(&quantize(&other)).contains("made of tiny; it will be replaced"));
}
