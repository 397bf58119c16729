//! What the names of the standard library and of well-known projects do: one table.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::facts::{EffectKind, Labels};
use super::walk::Map;

/// What a name does when called, and what it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Api {
    pub(super) effect: Option<EffectKind>,
    pub(super) gives: Labels,
}

/// Names with one meaning, by that meaning; separated by blanks. `x().y` is a method of what `x` made.
const EFFECTS: &[(EffectKind, Labels, &str)] = &[
    (
        EffectKind::Network,
        Labels::NETWORK,
        "requests.get requests.post requests.put requests.patch requests.delete requests.head requests.request \
         requests.Session().get requests.Session().post requests.Session().put requests.Session().request \
         requests.session().get requests.session().post requests.session().request requests.Session().send requests.Session.request requests.Session.send \
         requests.api.get requests.api.post requests.sessions.Session().get requests.sessions.Session().post \
         httpx.get httpx.post httpx.put httpx.request httpx.stream httpx.Client().get httpx.Client().post \
         httpx.AsyncClient().get httpx.AsyncClient().post httpx.Client().request httpx.AsyncClient().request \
         urllib.request.urlopen urllib2.urlopen urllib.urlopen urllib.request.build_opener().open \
         urllib.request.OpenerDirector().open urllib3.PoolManager().request urllib3.request \
         urllib3.PoolManager().urlopen urllib3.HTTPSConnectionPool().request \
         http.client.HTTPSConnection().request http.client.HTTPConnection().request \
         http.client.HTTPSConnection().getresponse http.client.HTTPConnection().getresponse \
         http.client.HTTPSConnection().send http.client.HTTPConnection().send \
         httplib.HTTPConnection().request httplib.HTTPSConnection().request \
         http.client.HTTPSConnection().putrequest http.client.HTTPConnection().endheaders \
         aiohttp.request aiohttp.ClientSession().get aiohttp.ClientSession().post aiohttp.ClientSession().request \
         aiohttp.ClientSession().put aiohttp.ClientSession().ws_connect \
         socket.socket().connect socket.socket().connect_ex socket.socket().send socket.socket().sendall \
         socket.socket().sendto socket.socket().recv socket.socket().recvfrom socket.create_connection \
         socket.create_connection().send socket.create_connection().sendall socket.create_connection().recv \
         socket.gethostbyname socket.gethostbyaddr socket.socket().makefile().write socket.getaddrinfo socket.gethostbyname_ex \
         ssl.wrap_socket().send ssl.wrap_socket().sendall ssl.wrap_socket().connect \
         dns.resolver.resolve dns.resolver.query dns.resolver.Resolver().resolve dns.resolver.Resolver().query \
         smtplib.SMTP().sendmail smtplib.SMTP().send_message smtplib.SMTP_SSL().sendmail \
         smtplib.SMTP_SSL().send_message smtplib.SMTP().login smtplib.SMTP_SSL().login \
         ftplib.FTP().storbinary ftplib.FTP().storlines ftplib.FTP().retrbinary ftplib.FTP_TLS().storbinary \
         ftplib.FTP ftplib.FTP().login telnetlib.Telnet telnetlib.Telnet().write \
         websocket.create_connection websocket.create_connection().send websocket.WebSocketApp \
         websockets.connect websockets.connect().send websockets.connect().recv \
         discord_webhook.DiscordWebhook dhooks.Webhook dhooks.Webhook().send discord.Webhook.from_url \
         discord.SyncWebhook.from_url discord.Webhook.from_url().send discord.SyncWebhook.from_url().send \
         discord_webhook.DiscordWebhook().execute telebot.TeleBot telebot.TeleBot().send_message \
         telebot.TeleBot().send_document telegram.Bot telegram.Bot().send_message telegram.Bot().send_document \
         paramiko.SSHClient().connect paramiko.SSHClient().exec_command pycurl.Curl().perform \
         asyncio.open_connection xmlrpc.client.ServerProxy boto3.client().put_object boto3.client().upload_file \
         slack_sdk.WebClient().chat_postMessage curl_cffi.requests.get curl_cffi.requests.post cloudscraper.create_scraper().get \
         tls_client.Session().post tls_client.Session().get primp.Client().get niquests.get niquests.post \
         dropbox.Dropbox dropbox.Dropbox().files_upload",
    ),
    (
        EffectKind::Download,
        Labels::NETWORK,
        "urllib.request.urlretrieve urllib.urlretrieve urllib.request.URLopener().retrieve wget.download \
         urllib.request.FancyURLopener().retrieve huggingface_hub.hf_hub_download gdown.download \
         torch.hub.download_url_to_file",
    ),
    (
        EffectKind::Process,
        Labels::OUTPUT,
        "os.system os.popen os.popen2 os.popen3 os.startfile os.execl os.execle os.execlp os.execlpe os.execv \
         os.execve os.execvp os.execvpe os.spawnl os.spawnle os.spawnlp os.spawnlpe os.spawnv os.spawnve os.spawnvp os.spawnvpe \
         posix.execv posix.execve posix.posix_spawn posix.posix_spawnp posix.fork_exec pydoc.pipepager imaplib.IMAP4_stream \
         pipes.Template().append asyncio.get_event_loop().subprocess_shell asyncio.get_running_loop().subprocess_shell \
         asyncio.get_event_loop().subprocess_exec asyncio.get_running_loop().subprocess_exec ctypes.CDLL().system \
         os.posix_spawn os.posix_spawnp posix.system nt.system posix.popen nt.startfile nt.popen \
         subprocess.run subprocess.call subprocess.Popen subprocess.check_call subprocess.check_output \
         subprocess.getoutput subprocess.getstatusoutput subprocess.Popen().communicate commands.getoutput \
         commands.getstatusoutput popen2.popen2 pty.spawn _winapi.CreateProcess _posixsubprocess.fork_exec \
         asyncio.create_subprocess_shell asyncio.create_subprocess_exec pexpect.spawn pexpect.run \
         ctypes.windll.shell32.ShellExecuteW ctypes.windll.shell32.ShellExecuteA \
         ctypes.windll.kernel32.CreateProcessW ctypes.windll.kernel32.CreateProcessA \
         ctypes.windll.kernel32.WinExec ctypes.windll.kernel32.CreateThread ctypes.windll.kernel32.CreateRemoteThread \
         win32api.ShellExecute win32process.CreateProcess webbrowser.open invoke.run plumbum.local sh.bash sh.sh \
         psutil.Popen distutils.spawn.spawn pip.main pip._internal.main pip._internal.cli.main.main \
         setuptools._distutils.spawn.spawn runpy.run_path",
    ),
    (
        EffectKind::Exec,
        Labels::NONE,
        "exec eval compile execfile types.FunctionType types.CodeType runpy.run_module \
         code.InteractiveInterpreter().runcode code.InteractiveInterpreter().runsource \
         code.InteractiveConsole().push code.InteractiveConsole().runsource timeit.Timer ctypes.pythonapi.PyRun_SimpleString \
         cProfile.Profile().run profile.Profile().run trace.Trace().run bdb.Bdb().run timeit.timeit timeit.repeat cProfile.run profile.run \
         _testcapi.run_in_subinterp _xxsubinterpreters.run_string __pyarmor__ pytransform.pyarmor_runtime",
    ),
    (
        EffectKind::Import,
        Labels::NONE,
        "__import__ importlib.import_module importlib.__import__ imp.load_source imp.load_module imp.load_dynamic \
         imp.load_compiled importlib.util.spec_from_file_location importlib.machinery.SourceFileLoader \
         importlib.machinery.ExtensionFileLoader zipimport.zipimporter",
    ),
    (
        EffectKind::Read,
        Labels::FILE,
        "os.listdir os.scandir os.walk glob.glob glob.iglob sqlite3.connect os.read linecache.getlines fileinput.input \
         pkgutil.get_data importlib.resources.read_text importlib.resources.read_binary",
    ),
    (
        EffectKind::Write,
        Labels::NONE,
        "shutil.copy shutil.copyfile shutil.copy2 shutil.copytree shutil.move os.rename os.replace os.symlink os.link \
         os.write zipfile.ZipFile().write zipfile.ZipFile().writestr zipfile.ZipFile().extractall \
         tarfile.open().extractall tarfile.open().add tarfile.TarFile().extractall shutil.unpack_archive \
         os.open tempfile.NamedTemporaryFile().write tempfile.mkstemp",
    ),
    (
        EffectKind::Delete,
        Labels::NONE,
        "os.remove os.unlink os.rmdir os.removedirs shutil.rmtree pathlib.Path().unlink pathlib.Path().rmdir \
         send2trash.send2trash os.truncate",
    ),
    (EffectKind::Chmod, Labels::NONE, "os.chmod os.fchmod pathlib.Path().chmod os.lchmod"),
    (
        EffectKind::Load,
        Labels::NONE,
        "ctypes.CDLL ctypes.WinDLL ctypes.cdll.LoadLibrary ctypes.windll.LoadLibrary ctypes.PyDLL ctypes.OleDLL \
         ctypes.windll.kernel32.VirtualAlloc ctypes.windll.kernel32.RtlMoveMemory ctypes.CFUNCTYPE()() \
         ctypes.windll.kernel32.WriteProcessMemory ctypes.windll.kernel32.VirtualProtect cffi.FFI().dlopen \
         ctypes.windll.kernel32.VirtualAllocEx ctypes.windll.ntdll.NtUnmapViewOfSection",
    ),
    (
        EffectKind::Deserialise,
        Labels::NONE,
        "pickle.loads pickle.load cPickle.loads cPickle.load _pickle.loads dill.loads dill.load cloudpickle.loads \
         marshal.loads marshal.load joblib.load shelve.open pandas.read_pickle torch.load yaml.load yaml.unsafe_load",
    ),
    (
        EffectKind::Clipboard,
        Labels::NONE,
        "pyperclip.copy clipboard.copy win32clipboard.SetClipboardData win32clipboard.SetClipboardText \
         pandas.DataFrame().to_clipboard tkinter.Tk().clipboard_append ctypes.windll.user32.SetClipboardData",
    ),
    (
        EffectKind::Screen,
        Labels::SCREEN,
        "PIL.ImageGrab.grab ImageGrab.grab pyautogui.screenshot pyscreenshot.grab mss.mss().grab mss.mss().shot \
         cv2.VideoCapture cv2.VideoCapture().read pyscreeze.screenshot sounddevice.rec",
    ),
    (
        EffectKind::Keyboard,
        Labels::KEYBOARD,
        "pynput.keyboard.Listener keyboard.on_press keyboard.hook keyboard.read_key keyboard.read_event \
         pyHook.HookManager pynput.mouse.Listener ctypes.windll.user32.GetAsyncKeyState \
         ctypes.windll.user32.SetWindowsHookExA ctypes.windll.user32.SetWindowsHookExW",
    ),
    (
        EffectKind::Persist,
        Labels::NONE,
        "winreg.SetValueEx winreg.SetValue _winreg.SetValueEx winreg.CreateKey winreg.CreateKeyEx \
         crontab.CronTab().new win32serviceutil.InstallService",
    ),
    (EffectKind::Sleep, Labels::NONE, "time.sleep asyncio.sleep"),
    (EffectKind::Exit, Labels::NONE, "sys.exit os._exit exit quit os.abort os.kill"),
    (
        EffectKind::Schedule,
        Labels::NONE,
        "atexit.register weakref.finalize threading.Thread threading.Timer multiprocessing.Process _thread.start_new_thread \
         concurrent.futures.ThreadPoolExecutor().submit concurrent.futures.ProcessPoolExecutor().submit \
         asyncio.run asyncio.create_task asyncio.get_event_loop().run_until_complete sys.settrace sys.addaudithook \
         signal.signal loop.run_until_complete",
    ),
];

/// Names that give something without doing much.
const SOURCES: &[(Labels, &str)] = &[
    (
        Labels::ENVIRONMENT,
        "os.environ os.environb os.environ.copy os.environ.items os.environ.values posix.environ nt.environ dotenv.dotenv_values",
    ),
    (
        Labels::HOST,
        "socket.gethostname socket.getfqdn platform.node platform.uname platform.platform platform.system \
         platform.release platform.version platform.machine platform.processor getpass.getuser os.getlogin os.uname \
         os.getcwd uuid.getnode os.getuid pwd.getpwuid psutil.users psutil.virtual_memory psutil.net_if_addrs \
         psutil.cpu_count psutil.disk_partitions psutil.process_iter os.getcwdb wmi.WMI locale.getdefaultlocale \
         distro.name cpuinfo.get_cpu_info GPUtil.getGPUs site.getusersitepackages netifaces.interfaces",
    ),
    (
        Labels::CLIPBOARD,
        "pyperclip.paste clipboard.paste win32clipboard.GetClipboardData PIL.ImageGrab.grabclipboard tkinter.Tk().clipboard_get",
    ),
    (
        Labels::ENV_SECRET,
        "boto3.Session().get_credentials boto3.session.Session().get_credentials \
         botocore.session.Session().get_credentials botocore.session.get_session().get_credentials",
    ),
    (Labels::INPUT, "input raw_input getpass.getpass pwinput.pwinput"),
    (
        Labels::STORE,
        "browser_cookie3.chrome browser_cookie3.firefox browser_cookie3.load browser_cookie3.edge \
         win32crypt.CryptUnprotectData keyring.get_password ctypes.windll.crypt32.CryptUnprotectData \
         browser_cookie3.opera browser_cookie3.brave secretstorage.get_default_collection",
    ),
];

/// Methods of things whose maker is not known; they count when their arguments speak.
const METHODS: &[(EffectKind, Labels, &str)] = &[
    (EffectKind::Network, Labels::NETWORK, "post get put request sendall sendto send urlopen connect send_message"),
    (EffectKind::Network, Labels::NETWORK, "send_document sendmail storbinary upload_file send_photo send_file"),
    (EffectKind::Write, Labels::NONE, "write writelines write_text write_bytes"),
    (EffectKind::Process, Labels::OUTPUT, "ShellExecuteW ShellExecuteA WinExec CreateProcessW popen startfile"),
];

/// What a full name does.
pub(super) fn named(name: &str) -> Option<Api> {
    static TABLE: OnceLock<Map<&'static str, Api>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let effects = EFFECTS.iter().flat_map(|(kind, gives, names)| {
            names.split_whitespace().map(|name| (name, Api { effect: Some(*kind), gives: *gives }))
        });
        let sources = SOURCES.iter().flat_map(|(gives, names)| {
            names.split_whitespace().map(|name| (name, Api { effect: None, gives: *gives }))
        });
        effects.chain(sources).collect()
    });
    table.get(name).copied()
}

/// What a method of something unknown may do.
pub(super) fn method(name: &str) -> Option<Api> {
    static TABLE: OnceLock<Map<&'static str, Api>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        METHODS
            .iter()
            .flat_map(|(kind, gives, names)| {
                names.split_whitespace().map(|name| (name, Api { effect: Some(*kind), gives: *gives }))
            })
            .collect()
    });
    table.get(name).copied()
}

/// The one spelling of a name that has several.
pub(super) fn canonical(name: &str) -> &str {
    // A function's `__call__` is the function.
    let mut name = name.strip_suffix(".__call__").unwrap_or(name);
    for prefix in ["builtins.", "__builtins__.", "__builtin__.", "six.moves.", "pip._vendor."] {
        name = name.strip_prefix(prefix).unwrap_or(name);
    }
    let name = borrowed(name).unwrap_or(name);
    match name {
        "os.environ.get().encode" => "os.getenv",
        "requests.sessions.Session" | "requests.sessions.session" => "requests.Session",
        "Crypto.Cipher.AES.new" | "Cryptodome.Cipher.AES.new" => "Crypto.Cipher.AES.new",
        "asyncio.subprocess.create_subprocess_shell" => "asyncio.create_subprocess_shell",
        "urllib.request.Request().open" => "urllib.request.urlopen",
        other if other.ends_with("__pyarmor__") => "__pyarmor__",
        other => secured(other).unwrap_or(other),
    }
}

/// A module that another one of the standard library imported is that module: `shutil.os`.
fn borrowed(name: &str) -> Option<&str> {
    const LENDERS: [&str; 48] = [
        "bdb",
        "bz2",
        "cProfile",
        "cgi",
        "cmd",
        "code",
        "codeop",
        "concurrent",
        "configparser",
        "ctypes",
        "distutils",
        "doctest",
        "ensurepip",
        "fileinput",
        "filecmp",
        "ftplib",
        "getpass",
        "gettext",
        "gzip",
        "imaplib",
        "imp",
        "importlib",
        "linecache",
        "locale",
        "lzma",
        "mailbox",
        "mimetypes",
        "multiprocessing",
        "netrc",
        "optparse",
        "pdb",
        "pkgutil",
        "poplib",
        "pty",
        "pydoc",
        "queue",
        "runpy",
        "sched",
        "site",
        "smtplib",
        "sysconfig",
        "tarfile",
        "timeit",
        "trace",
        "venv",
        "webbrowser",
        "xmlrpc",
        "zipfile",
    ];
    let (lender, module) = name.rsplit_once('.')?;
    let acts = matches!(
        module,
        "os" | "subprocess"
            | "sys"
            | "builtins"
            | "socket"
            | "urllib"
            | "http"
            | "shutil"
            | "base64"
            | "ctypes"
            | "importlib"
    );
    let own = name == "asyncio.subprocess" || lender == module;
    let top = lender.split('.').next().unwrap_or(lender);
    (acts && !own && !lender.contains('(') && (LENDERS.contains(&top) || is_foreign(lender))).then_some(module)
}

/// A socket under TLS is a socket, whoever wrapped it.
fn secured(name: &str) -> Option<&'static str> {
    let (maker, method) = name.rsplit_once('.')?;
    let plain = match method {
        "connect" => "socket.socket().connect",
        "send" => "socket.socket().send",
        "sendall" => "socket.socket().sendall",
        "recv" => "socket.socket().recv",
        _ => return None,
    };
    maker.ends_with(".wrap_socket()").then_some(plain)
}

const BUILTINS: &str = "exec eval compile __import__ getattr setattr globals locals vars open chr ord map filter list tuple \
     set dict str bytes bytearray int len range reversed sorted zip enumerate sum hex input raw_input \
     execfile unichr xrange exit quit print type memoryview __builtins__ __loader__ __spec__ iter next \
     min max abs isinstance id hash bool float repr format callable dir object super reload file \
     breakpoint any all round delattr hasattr __name__ __file__ __path__ help";

/// Whether a bare name is the language's own.
pub(super) fn is_builtin(name: &str) -> bool {
    static TABLE: OnceLock<Map<&'static str, ()>> = OnceLock::new();
    TABLE.get_or_init(|| BUILTINS.split_whitespace().map(|name| (name, ())).collect()).contains_key(name)
}

/// Whether a bare name is that of a module which code that acts imports, and nobody calls anything else by.
pub(super) fn is_usual_module(name: &str) -> bool {
    matches!(name, "os" | "subprocess" | "requests" | "urllib" | "socket" | "base64" | "shutil" | "ctypes" | "winreg")
}

/// See [`super::prepare`]: the first look-up in a table makes it.
pub(super) fn prepare() {
    named("");
    method("");
    is_builtin("");
    secret_parts();
}

/// Whether a call passes none of its arguments' content on.
pub(super) fn forgets(name: &str) -> bool {
    matches!(
        name,
        "len"
            | "isinstance"
            | "bool"
            | "hash"
            | "id"
            | "type"
            | "callable"
            | "hasattr"
            | "issubclass"
            | "print"
            | "any"
            | "all"
            | "os.path.exists"
            | "os.path.isfile"
            | "os.path.isdir"
            | "os.makedirs"
            | "os.mkdir"
            | "logging.getLogger"
            | "super"
            | "range"
            | "os.path.getsize"
            | "time.time"
    )
}

/// Parts of names that speak of a secret.
const SECRET_PARTS: [&str; 14] = [
    "token",
    "password",
    "passphrase",
    "secret",
    "private_key",
    "privatekey",
    "mnemonic",
    "api_key",
    "apikey",
    "access_key",
    "credential",
    "seed_phrase",
    "wallet_key",
    "secret_key",
];

/// One pass for all of them: every parameter of every function is asked for.
fn secret_parts() -> Option<&'static AhoCorasick> {
    static AUTOMATON: OnceLock<Option<AhoCorasick>> = OnceLock::new();
    let build = || {
        let builder = &mut AhoCorasick::builder();
        builder.ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA)).build(SECRET_PARTS).ok()
    };
    AUTOMATON.get_or_init(build).as_ref()
}

/// Whether a name speaks of a secret: of a parameter, or of an environment variable.
pub(super) fn is_secret_name(name: &str) -> bool {
    const WHOLE: [&str; 7] = ["pwd", "seed", "pk", "privkey", "creds", "passwd", "jwt"];
    if WHOLE.iter().any(|whole| name.eq_ignore_ascii_case(whole)) {
        return true;
    }
    if !secret_parts().is_none_or(|parts| parts.is_match(name)) {
        return false;
    }
    let name = name.to_ascii_lowercase();
    SECRET_PARTS.iter().any(|part| name.contains(part))
        && !name.contains("tokenize")
        && !name.contains("max_token")
        && !name.ends_with("tokens")
        && !name.contains("token_id")
        && !name.starts_with("num_")
}

/// Whether a name belongs to the standard library or a project whose functions are in no distribution but its own.
pub(super) fn is_foreign(name: &str) -> bool {
    matches!(
        name.split(['.', '(']).next().unwrap_or(""),
        "os" | "sys"
            | "re"
            | "json"
            | "time"
            | "typing"
            | "collections"
            | "itertools"
            | "functools"
            | "logging"
            | "datetime"
            | "pathlib"
            | "shutil"
            | "subprocess"
            | "threading"
            | "socket"
            | "base64"
            | "zlib"
            | "hashlib"
            | "struct"
            | "random"
            | "math"
            | "string"
            | "unittest"
            | "pytest"
            | "numpy"
            | "copy"
            | "io"
            | "enum"
            | "abc"
            | "warnings"
            | "argparse"
            | "dataclasses"
            | "tempfile"
            | "uuid"
            | "urllib"
            | "inspect"
            | "contextlib"
            | "operator"
            | "platform"
            | "types"
            | "asyncio"
            | "ast"
            | "traceback"
            | "textwrap"
            | "glob"
            | "pickle"
            | "decimal"
            | "weakref"
            | "ssl"
            | "select"
            | "signal"
            | "csv"
            | "email"
            | "html"
            | "http"
            | "xml"
    )
}
