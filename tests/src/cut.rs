//! A way to a store on which a session's connection ends after so many packets of the store.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// Packets of the store until a login by `mysql_native_password` is over: the greeting and an OK.
const LOGIN_PACKETS: usize = 2;

/// Listens for as long as the process lives. Connections of all users but one just pass.
pub struct Cut {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    store: SocketAddr,
    user: &'static str,
    packets: AtomicUsize,
}

impl Cut {
    /// A way to `store` on which connections of `user` are cut.
    pub fn before(store: SocketAddr, user: &'static str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            store,
            user,
            packets: AtomicUsize::new(usize::MAX),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, shared) = (client.unwrap(), Arc::clone(&accepting));
                // A connection that fails is one that has ended.
                std::thread::spawn(move || drop(shared.pass(&client)));
            }
        });
        Self { address, shared }
    }

    /// As the proxy's setting `store` takes it.
    pub fn url(&self) -> String {
        format!("mysql://{}", self.address)
    }

    /// Connections that log in from now on end after so many packets behind their login.
    pub fn after(&self, packets: usize) {
        self.shared.packets.store(packets, SeqCst);
    }
}

impl Shared {
    fn pass(&self, client: &TcpStream) -> io::Result<()> {
        let store = TcpStream::connect(self.store)?;
        client.set_nodelay(true)?;
        store.set_nodelay(true)?;
        let (cuts, packets) = (AtomicBool::new(false), self.packets.load(SeqCst));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let passed = self.pass_commands(client, &store, &cuts);
                drop(passed.and_then(|()| store.shutdown(Shutdown::Write)));
            });
            let mut passed = 0;
            while let Ok(packet) = read_packet(&store) {
                (&*client).write_all(&packet)?;
                passed += 1;
                if cuts.load(SeqCst) && passed == LOGIN_PACKETS + packets {
                    break;
                }
            }
            drop(store.shutdown(Shutdown::Both));
            client.shutdown(Shutdown::Both)
        })
    }

    fn pass_commands(
        &self,
        mut client: &TcpStream,
        mut store: &TcpStream,
        cuts: &AtomicBool,
    ) -> io::Result<()> {
        let login = read_packet(client)?;
        let user = self.user.as_bytes();
        let is_his = login.windows(user.len()).any(|part| part == user);
        cuts.store(is_his, SeqCst);
        store.write_all(&login)?;
        io::copy(&mut client, &mut store).map(drop)
    }
}

fn read_packet(mut stream: &TcpStream) -> io::Result<Vec<u8>> {
    let mut packet = vec![0; 4];
    stream.read_exact(&mut packet)?;
    let length = u32::from_le_bytes([packet[0], packet[1], packet[2], 0]) as usize;
    packet.resize(4 + length, 0);
    stream.read_exact(&mut packet[4..])?;
    Ok(packet)
}
